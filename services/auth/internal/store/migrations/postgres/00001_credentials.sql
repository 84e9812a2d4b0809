-- +goose Up
CREATE TABLE api_keys (
    id                uuid PRIMARY KEY,
    client_name       text        NOT NULL,
    allowed_endpoints jsonb       NOT NULL,
    per_minute        integer     NOT NULL CHECK (per_minute >= 0),
    per_hour          integer     NOT NULL CHECK (per_hour >= 0),
    per               text        NOT NULL CHECK (per IN ('key', 'address')),
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz,
    revoked_at        timestamptz
);

-- A key has one secret, and two while it is being rotated.
CREATE TABLE api_key_secrets (
    sha256     bytea PRIMARY KEY CHECK (length(sha256) = 32),
    api_key_id uuid        NOT NULL REFERENCES api_keys (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz
);
CREATE INDEX api_key_secrets_api_key_id ON api_key_secrets (api_key_id);

CREATE TABLE token_families (
    id              uuid        PRIMARY KEY,
    license_id      uuid        NOT NULL,
    hardware_id     text        NOT NULL,
    -- the license's when the family began
    license_version integer     NOT NULL,
    created_at      timestamptz NOT NULL,
    revoked_at      timestamptz,
    -- the end of the newest refresh token: the family is pruned after it
    expires_at      timestamptz NOT NULL,
    -- the newest refresh token, and the one that it was given for, which is good again while the new pair is not in use
    current_sha256  bytea       NOT NULL CHECK (length(current_sha256) = 32),
    previous_sha256 bytea,
    in_use          boolean     NOT NULL,
    rotations       integer     NOT NULL
);
CREATE INDEX token_families_expires_at ON token_families (expires_at);
CREATE INDEX token_families_device ON token_families (license_id, hardware_id, created_at);

CREATE TABLE refresh_tokens (
    sha256     bytea PRIMARY KEY CHECK (length(sha256) = 32),
    family_id  uuid        NOT NULL REFERENCES token_families (id) ON DELETE CASCADE,
    rotation   integer     NOT NULL,
    -- the access token that was given with it
    access_id  uuid        NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- replaced before anything of its pair was used
    void       boolean     NOT NULL,
    UNIQUE (family_id, rotation)
);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

CREATE TABLE signing_keys (
    id             text PRIMARY KEY,
    generation     integer     NOT NULL UNIQUE,
    sealed_private bytea       NOT NULL,
    created_at     timestamptz NOT NULL,
    signs_from     timestamptz NOT NULL,
    needed_until   timestamptz,
    -- no token of the key is accepted from then on, and it signs none
    revoked_at     timestamptz
);

-- +goose Down
DROP TABLE signing_keys, refresh_tokens, token_families, api_key_secrets, api_keys;
