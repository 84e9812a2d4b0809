-- +goose Up

-- Keys that licenses had before a rotation and that still work until a time. Like those in licenses they are hashed and sealed
-- under the master key named by master_key.
CREATE TABLE former_keys (
    id          text     NOT NULL PRIMARY KEY,
    license_id  text        NOT NULL REFERENCES licenses (id),
    key_hash    blob       NOT NULL UNIQUE,
    key_sealed  blob       NOT NULL,
    master_key  text        NOT NULL,
    valid_until datetime NOT NULL
);
CREATE INDEX former_keys_license ON former_keys (license_id, valid_until);
CREATE INDEX former_keys_valid_until ON former_keys (valid_until);

-- Keys for the roll-out to many devices. They are long and random, so that a plain SHA-256 finds them and no key is needed for it.
CREATE TABLE enrollment_keys (
    id          text     NOT NULL PRIMARY KEY,
    license_id  text        NOT NULL REFERENCES licenses (id),
    key_sha256  blob       NOT NULL UNIQUE,
    masked_key  text        NOT NULL,
    label       text        NOT NULL,
    max_devices integer     NOT NULL,
    expires_at  datetime,
    created_at  datetime NOT NULL,
    -- A deleted key stays known, so that its devices are told why they are refused.
    deleted_at  datetime
);
CREATE INDEX enrollment_keys_license ON enrollment_keys (license_id, created_at DESC, id DESC);

-- The enrollment key by which a device took its seat.
ALTER TABLE devices ADD COLUMN enrollment_key_id text;
CREATE INDEX devices_enrollment ON devices (enrollment_key_id) WHERE enrollment_key_id IS NOT NULL AND is_active;

-- For searches by the beginning of a name, by bytes.
CREATE INDEX devices_name ON devices (name) WHERE is_active AND name <> '';

-- +goose Down
DROP INDEX devices_name;
DROP INDEX devices_enrollment;
ALTER TABLE devices DROP COLUMN enrollment_key_id;
DROP TABLE enrollment_keys;
DROP TABLE former_keys;
