-- +goose Up

-- Numeric ids stand beside the UUIDs because some vendors' protocols know numbers only.
CREATE TABLE products (
    id         uuid        PRIMARY KEY,
    numeric_id bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    name       text        NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);

CREATE TABLE users (
    id          uuid        PRIMARY KEY,
    numeric_id  bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    customer_id text        NOT NULL,
    email       text,
    created_at  timestamptz NOT NULL
);

CREATE TABLE licenses (
    id                  uuid        PRIMARY KEY,
    numeric_id          bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- A keyed hash finds the key, a ciphertext shows it again; both were made under the master key named by master_key.
    key_hash            bytea       NOT NULL UNIQUE,
    key_sealed          bytea       NOT NULL,
    master_key          text        NOT NULL,
    masked_key          text        NOT NULL,
    customer_id         text        NOT NULL,
    product_id          uuid        NOT NULL REFERENCES products (id),
    -- The terms of the license.
    license_type        text        NOT NULL,
    max_devices         integer     NOT NULL CHECK (max_devices >= 1),
    max_offline_hours   integer     NOT NULL,
    features            text        NOT NULL,
    starts_at           timestamptz,
    expires_at          timestamptz,
    grace_hours         integer     NOT NULL,
    -- What the rules say of the terms, for statements: the end with its grace, and whether the short way of activation
    -- knows all that they ask.
    usable_until        timestamptz,
    plain_terms         boolean     NOT NULL,
    -- Not bounded by max_devices: an administrator may lower that below the devices in use.
    current_devices     integer     NOT NULL CHECK (current_devices >= 0),
    is_active           boolean     NOT NULL,
    is_test             boolean     NOT NULL,
    -- Text, not jsonb: an administrator reads back byte for byte what was sent.
    metadata            text        NOT NULL,
    version             integer     NOT NULL,
    expiry_notice       integer     NOT NULL,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    deactivated_at      timestamptz,
    deactivation_reason text        NOT NULL,
    deactivated_version integer     NOT NULL
) WITH (fillfactor = 80); -- room to update the seat counter in place
CREATE INDEX licenses_created_at ON licenses (created_at DESC, id DESC);
CREATE INDEX licenses_customer_id ON licenses (customer_id, created_at DESC);
CREATE INDEX licenses_expires_at ON licenses (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX licenses_status ON licenses (is_active, usable_until);
CREATE INDEX licenses_master_key ON licenses (master_key);

CREATE TABLE devices (
    id                uuid        PRIMARY KEY,
    numeric_id        bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    license_id        uuid        NOT NULL REFERENCES licenses (id),
    hardware_id       text        NOT NULL,
    name              text        NOT NULL,
    os_name           text        NOT NULL,
    os_version        text        NOT NULL,
    app_version       text        NOT NULL,
    session_data      text,
    is_active         boolean     NOT NULL,
    activated_at      timestamptz NOT NULL,
    activated_version integer     NOT NULL,
    last_seen_at      timestamptz,
    deactivated_at    timestamptz,
    offline_until     timestamptz,
    UNIQUE (license_id, hardware_id)
);
CREATE INDEX devices_hardware_id ON devices (hardware_id) WHERE is_active;

-- +goose Down
DROP TABLE devices;
DROP TABLE licenses;
DROP TABLE users;
DROP TABLE products;
