-- +goose Up
CREATE TABLE idempotency_keys (
    scope        text        NOT NULL,
    key          text        NOT NULL,
    request      bytea       NOT NULL,
    -- who works on it now; whoever takes over changes it, and the former owner can no longer finish
    owner        uuid        NOT NULL,
    leased_until timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    answer       bytea,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_expires ON idempotency_keys (expires_at);
