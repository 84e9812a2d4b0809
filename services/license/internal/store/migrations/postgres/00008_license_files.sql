-- +goose Up

-- Until when a device, and anybody on a license, may go on without the server by what was given out. Revocation lists name
-- those who must not; it outlives seats and tokens that are void.
ALTER TABLE licenses ADD COLUMN offline_horizon timestamptz;
ALTER TABLE devices ADD COLUMN offline_horizon timestamptz;
UPDATE devices SET offline_horizon = offline_until WHERE offline_until IS NOT NULL;
UPDATE licenses SET offline_horizon = (SELECT max(offline_until) FROM devices WHERE devices.license_id = licenses.id);
CREATE INDEX licenses_offline_horizon ON licenses (offline_horizon) WHERE offline_horizon IS NOT NULL;
CREATE INDEX devices_offline_horizon ON devices (offline_horizon) WHERE offline_horizon IS NOT NULL AND NOT is_active;

-- Ed25519 keys of license files and revocation lists. The root certifies the others.
CREATE TABLE file_keys (
    kid         text PRIMARY KEY,
    use         text NOT NULL,
    -- The code of a product, empty for keys that belong to none.
    product     text NOT NULL,
    sealed      bytea NOT NULL,
    master_key  text NOT NULL,
    -- Empty for the root.
    certificate bytea NOT NULL,
    not_before  timestamptz NOT NULL,
    not_after   timestamptz NOT NULL,
    -- From when on the key signs nothing more, and until when it is published; null for the current one.
    retired_at  timestamptz,
    listed_until timestamptz
);
CREATE UNIQUE INDEX file_keys_current ON file_keys (use, product) WHERE retired_at IS NULL;

-- The revocation list: who stands on it, or left it, since the list of that number.
CREATE TABLE revocations (
    license_id  uuid NOT NULL,
    -- Empty for all devices of the license.
    hardware_id text NOT NULL,
    reason      text NOT NULL,
    revoked     boolean NOT NULL,
    number      bigint NOT NULL,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (license_id, hardware_id)
);
CREATE INDEX revocations_number ON revocations (number);
CREATE TABLE revocation_list (
    id     integer PRIMARY KEY CHECK (id = 1),
    number bigint NOT NULL,
    -- Changes up to this number are not complete any more: rows of those who left the list were deleted.
    pruned bigint NOT NULL
);
INSERT INTO revocation_list (id, number, pruned) VALUES (1, 1, 0);

-- +goose Down
DROP TABLE revocation_list;
DROP TABLE revocations;
DROP TABLE file_keys;
DROP INDEX devices_offline_horizon;
DROP INDEX licenses_offline_horizon;
ALTER TABLE devices DROP COLUMN offline_horizon;
ALTER TABLE licenses DROP COLUMN offline_horizon;
