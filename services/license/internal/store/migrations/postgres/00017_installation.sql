-- +goose Up

-- The license of this installation itself, in the one row with the id license.
CREATE TABLE installation (
    id          text        PRIMARY KEY,
    machine_id  text        NOT NULL,
    -- The license file, or the account at the upstream: one has credentials, and both are read together.
    sealed      bytea       NOT NULL,
    master_key  text        NOT NULL,
    -- What was heard of the upstream, as JSON.
    heard       text        NOT NULL,
    -- When the upstream is asked next, null where there is none.
    check_due   timestamptz,
    -- When the first license was put on it.
    licensed_at timestamptz,
    version     bigint      NOT NULL,
    created_at  timestamptz NOT NULL
);

-- +goose Down
DROP TABLE installation;
