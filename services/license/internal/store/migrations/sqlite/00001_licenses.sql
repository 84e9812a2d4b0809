-- +goose Up

-- Numeric ids stand beside the UUIDs because some vendors' protocols know numbers only.
CREATE TABLE products (
    id         text     NOT NULL UNIQUE,
    numeric_id integer  PRIMARY KEY AUTOINCREMENT,
    name       text     NOT NULL UNIQUE,
    created_at datetime NOT NULL
);

CREATE TABLE users (
    id          text     NOT NULL UNIQUE,
    numeric_id  integer  PRIMARY KEY AUTOINCREMENT,
    customer_id text     NOT NULL,
    email       text,
    created_at  datetime NOT NULL
);

CREATE TABLE licenses (
    id                  text     NOT NULL UNIQUE,
    numeric_id          integer  PRIMARY KEY AUTOINCREMENT,
    -- A keyed hash finds the key, a ciphertext shows it again; both were made under the master key named by master_key.
    key_hash            blob     NOT NULL UNIQUE,
    key_sealed          blob     NOT NULL,
    master_key          text     NOT NULL,
    masked_key          text     NOT NULL,
    customer_id         text     NOT NULL,
    product_id          text     NOT NULL REFERENCES products (id),
    -- The terms of the license.
    license_type        text     NOT NULL,
    max_devices         integer  NOT NULL CHECK (max_devices >= 1),
    max_offline_hours   integer  NOT NULL,
    features            text     NOT NULL,
    starts_at           datetime,
    expires_at          datetime,
    grace_hours         integer  NOT NULL,
    -- What the rules say of the terms, for statements: the end with its grace, and whether the short way of activation
    -- knows all that they ask.
    usable_until        datetime,
    plain_terms         boolean  NOT NULL,
    -- Not bounded by max_devices: an administrator may lower that below the devices in use.
    current_devices     integer  NOT NULL CHECK (current_devices >= 0),
    is_active           boolean  NOT NULL,
    is_test             boolean  NOT NULL,
    -- Text, not jsonb: an administrator reads back byte for byte what was sent.
    metadata            text     NOT NULL,
    version             integer  NOT NULL,
    expiry_notice       integer  NOT NULL,
    created_at          datetime NOT NULL,
    updated_at          datetime NOT NULL,
    deactivated_at      datetime,
    deactivation_reason text     NOT NULL,
    deactivated_version integer  NOT NULL
);
CREATE INDEX licenses_created_at ON licenses (created_at DESC, id DESC);
CREATE INDEX licenses_customer_id ON licenses (customer_id, created_at DESC);
CREATE INDEX licenses_expires_at ON licenses (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX licenses_status ON licenses (is_active, usable_until);
CREATE INDEX licenses_master_key ON licenses (master_key);

CREATE TABLE devices (
    id                text     NOT NULL UNIQUE,
    numeric_id        integer  PRIMARY KEY AUTOINCREMENT,
    license_id        text     NOT NULL REFERENCES licenses (id),
    hardware_id       text     NOT NULL,
    name              text     NOT NULL,
    os_name           text     NOT NULL,
    os_version        text     NOT NULL,
    app_version       text     NOT NULL,
    session_data      text,
    is_active         boolean  NOT NULL,
    activated_at      datetime NOT NULL,
    activated_version integer  NOT NULL,
    last_seen_at      datetime,
    deactivated_at    datetime,
    offline_until     datetime,
    UNIQUE (license_id, hardware_id)
);
CREATE INDEX devices_hardware_id ON devices (hardware_id) WHERE is_active;

-- +goose Down
DROP TABLE devices;
DROP TABLE licenses;
DROP TABLE users;
DROP TABLE products;
