-- +goose Up
CREATE TABLE admin_keys_new (
    id          text PRIMARY KEY,
    hash        blob NOT NULL UNIQUE,
    name        text NOT NULL,
    role        text NOT NULL CHECK (role IN ('owner', 'operator', 'support', 'viewer')),
    configured  boolean NOT NULL,
    created_at  timestamp NOT NULL,
    revoked_at  timestamp
);
INSERT INTO admin_keys_new SELECT id, hash, name, role, configured, created_at, revoked_at FROM admin_keys;
DROP TABLE admin_keys;
ALTER TABLE admin_keys_new RENAME TO admin_keys;
CREATE UNIQUE INDEX admin_keys_configured ON admin_keys (configured) WHERE configured AND revoked_at IS NULL;
