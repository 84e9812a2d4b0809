-- +goose Up
CREATE TABLE idempotency_keys (
    scope        TEXT      NOT NULL,
    key          TEXT      NOT NULL,
    request      BLOB      NOT NULL,
    owner        TEXT      NOT NULL,
    leased_until TIMESTAMP NOT NULL,
    expires_at   TIMESTAMP NOT NULL,
    answer       BLOB,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_expires ON idempotency_keys (expires_at);
