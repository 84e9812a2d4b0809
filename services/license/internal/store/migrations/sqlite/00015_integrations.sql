-- +goose Up

-- What clients of another vendor's API sign their calls with. An integration that was deleted stays, so that its keys are told
-- from unknown ones.
CREATE TABLE integrations (
    id         text        NOT NULL PRIMARY KEY,
    kind       text        NOT NULL,
    name       text        NOT NULL,
    -- The codes of the products that it is for, as JSON; empty for all.
    products   text        NOT NULL,
    read_only  boolean     NOT NULL,
    per_minute integer     NOT NULL,
    per_hour   integer     NOT NULL,
    per        text        NOT NULL,
    created_at datetime NOT NULL,
    deleted_at datetime
);
CREATE INDEX integrations_created_at ON integrations (created_at DESC, id DESC);

CREATE TABLE integration_keys (
    id             text        NOT NULL PRIMARY KEY,
    integration_id text        NOT NULL REFERENCES integrations (id),
    api_key_sha256 blob        NOT NULL UNIQUE,
    client_id      text        NOT NULL UNIQUE,
    -- The shared key and the client secret, which signatures need.
    sealed         blob        NOT NULL,
    master_key     text        NOT NULL,
    created_at     datetime NOT NULL,
    -- Null for the current key.
    valid_until    datetime
);
CREATE INDEX integration_keys_integration ON integration_keys (integration_id, created_at);

-- RSA keys that sign answers, one for each kind of integration.
CREATE TABLE response_keys (
    kind       text        NOT NULL PRIMARY KEY,
    sealed     blob        NOT NULL,
    master_key text        NOT NULL,
    created_at datetime NOT NULL
);

-- Numbers of entitlements, for clients whose ids are numbers.
CREATE TABLE feature_numbers (
    code       text    NOT NULL UNIQUE,
    numeric_id integer PRIMARY KEY AUTOINCREMENT
);

-- Answers to requests that were carried by hand: the same request gets the same answer.
CREATE TABLE offline_requests (
    id          text        NOT NULL PRIMARY KEY,
    license_id  text        NOT NULL REFERENCES licenses (id),
    request_id  text        NOT NULL,
    -- What was asked, as a hash.
    request     text        NOT NULL,
    sealed      blob        NOT NULL,
    master_key  text        NOT NULL,
    created_at  datetime NOT NULL,
    UNIQUE (license_id, request_id)
);
CREATE INDEX offline_requests_created_at ON offline_requests (created_at);

-- +goose Down
DROP TABLE offline_requests;
DROP TABLE feature_numbers;
DROP TABLE response_keys;
DROP TABLE integration_keys;
DROP TABLE integrations;
