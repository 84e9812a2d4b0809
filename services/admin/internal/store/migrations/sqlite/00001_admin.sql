-- +goose Up
CREATE TABLE admin_keys (
    id          text PRIMARY KEY,
    hash        blob NOT NULL UNIQUE,
    name        text NOT NULL,
    role        text NOT NULL CHECK (role IN ('owner', 'operator', 'viewer')),
    configured  boolean NOT NULL,
    created_at  timestamp NOT NULL,
    revoked_at  timestamp
);
CREATE UNIQUE INDEX admin_keys_configured ON admin_keys (configured) WHERE configured AND revoked_at IS NULL;

-- The one row that every change of admin keys locks first.
CREATE TABLE admin_keys_lock (
    id integer PRIMARY KEY CHECK (id = 1)
);
INSERT INTO admin_keys_lock (id) VALUES (1);

CREATE TABLE audit_entries (
    audit_id    text PRIMARY KEY,
    occurred_at timestamp NOT NULL,
    actor_id    text NOT NULL,
    actor_name  text NOT NULL,
    actor_role  text NOT NULL,
    action      text NOT NULL,
    license_id  text,
    before      text,
    after       text,
    ip          text NOT NULL,
    request_id  text NOT NULL
);
CREATE INDEX audit_entries_newest ON audit_entries (occurred_at, audit_id);
CREATE INDEX audit_entries_license ON audit_entries (license_id, occurred_at) WHERE license_id IS NOT NULL;
CREATE INDEX audit_entries_actor ON audit_entries (actor_id, occurred_at);

-- +goose Down
DROP TABLE audit_entries;
DROP TABLE admin_keys_lock;
DROP TABLE admin_keys;
