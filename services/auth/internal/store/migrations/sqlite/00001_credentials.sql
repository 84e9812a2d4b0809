-- +goose Up
CREATE TABLE api_keys (
    id                TEXT PRIMARY KEY,
    client_name       TEXT      NOT NULL,
    allowed_endpoints TEXT      NOT NULL,
    per_minute        INTEGER   NOT NULL CHECK (per_minute >= 0),
    per_hour          INTEGER   NOT NULL CHECK (per_hour >= 0),
    per               TEXT      NOT NULL CHECK (per IN ('key', 'address')),
    created_at        TIMESTAMP NOT NULL,
    expires_at        TIMESTAMP,
    revoked_at        TIMESTAMP
);

-- A key has one secret, and two while it is being rotated.
CREATE TABLE api_key_secrets (
    sha256     BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    api_key_id TEXT      NOT NULL REFERENCES api_keys (id),
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP
);
CREATE INDEX api_key_secrets_api_key_id ON api_key_secrets (api_key_id);

CREATE TABLE token_families (
    id              TEXT      PRIMARY KEY,
    license_id      TEXT      NOT NULL,
    hardware_id     TEXT      NOT NULL,
    -- the license's when the family began
    license_version INTEGER   NOT NULL,
    created_at      TIMESTAMP NOT NULL,
    revoked_at      TIMESTAMP,
    -- the end of the newest refresh token: the family is pruned after it
    expires_at      TIMESTAMP NOT NULL,
    -- the newest refresh token, and the one that it was given for, which is good again while the new pair is not in use
    current_sha256  BLOB      NOT NULL CHECK (length(current_sha256) = 32),
    previous_sha256 BLOB,
    in_use          BOOLEAN   NOT NULL,
    rotations       INTEGER   NOT NULL
);
CREATE INDEX token_families_expires_at ON token_families (expires_at);
CREATE INDEX token_families_device ON token_families (license_id, hardware_id, created_at);

CREATE TABLE refresh_tokens (
    sha256     BLOB PRIMARY KEY CHECK (length(sha256) = 32),
    family_id  TEXT      NOT NULL REFERENCES token_families (id) ON DELETE CASCADE,
    rotation   INTEGER   NOT NULL,
    -- the access token that was given with it
    access_id  TEXT      NOT NULL UNIQUE,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    -- replaced before anything of its pair was used
    void       BOOLEAN   NOT NULL,
    UNIQUE (family_id, rotation)
);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

CREATE TABLE signing_keys (
    id             TEXT PRIMARY KEY,
    generation     INTEGER   NOT NULL UNIQUE,
    sealed_private BLOB      NOT NULL,
    created_at     TIMESTAMP NOT NULL,
    signs_from     TIMESTAMP NOT NULL,
    needed_until   TIMESTAMP,
    -- no token of the key is accepted from then on, and it signs none
    revoked_at     TIMESTAMP
);

-- +goose Down
DROP TABLE signing_keys;
DROP TABLE refresh_tokens;
DROP TABLE token_families;
DROP TABLE api_key_secrets;
DROP TABLE api_keys;
