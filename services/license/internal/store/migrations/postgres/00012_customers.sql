-- +goose Up

-- Customers are made by their first license. Those of licenses that exist are made while the service runs, so that this takes no
-- time. id names a customer where customer_id must not, because that may tell who it is.
CREATE TABLE customers (
    id          uuid        PRIMARY KEY,
    customer_id text        NOT NULL UNIQUE,
    name        text        NOT NULL DEFAULT '',
    email       text        NOT NULL DEFAULT '',
    company     text        NOT NULL DEFAULT '',
    phone       text        NOT NULL DEFAULT '',
    address     text        NOT NULL DEFAULT '{}',
    metadata    text        NOT NULL DEFAULT '{}',
    -- The e-mail address and the company as a search compares them.
    email_key   text        NOT NULL DEFAULT '',
    company_key text        NOT NULL DEFAULT '',
    version     integer     NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    erased_at   timestamptz
);
CREATE INDEX customers_created_at ON customers (created_at DESC, id DESC);
CREATE INDEX customers_customer_id ON customers (customer_id text_pattern_ops);
CREATE INDEX customers_email ON customers (email_key text_pattern_ops);
CREATE INDEX customers_company ON customers (company_key text_pattern_ops);

-- The customers that a license had before: its event log still names them.
CREATE TABLE former_customers (
    customer_id text NOT NULL,
    license_id  uuid NOT NULL REFERENCES licenses (id),
    PRIMARY KEY (customer_id, license_id)
);

-- Customers that were erased. previous is a salted hash of the customer_id that must be found no more.
CREATE TABLE erasures (
    id          uuid        PRIMARY KEY REFERENCES customers (id),
    customer_id text        NOT NULL,
    salt        text        NOT NULL,
    previous    text        NOT NULL,
    erased_at   timestamptz NOT NULL,
    -- When the event log was found clean; null until then.
    scrubbed_at timestamptz
);

-- The Ed25519 key that signs a device's usage reports, and when what the device had said of itself was erased.
ALTER TABLE devices ADD COLUMN public_key bytea, ADD COLUMN erased_at timestamptz;

CREATE TABLE usage_reports (
    license_id  uuid        NOT NULL REFERENCES licenses (id),
    device_id   uuid        NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    report_id   text        NOT NULL,
    -- The SHA-256 of the report, and what was answered to it.
    digest      text        NOT NULL,
    answer      text        NOT NULL,
    received_at timestamptz NOT NULL,
    -- Until when the report is remembered: afterwards it is too old to be counted.
    kept_until  timestamptz NOT NULL,
    PRIMARY KEY (license_id, device_id, report_id)
);
CREATE INDEX usage_reports_device ON usage_reports (device_id);
CREATE INDEX usage_reports_kept_until ON usage_reports (kept_until);

-- +goose Down
DROP TABLE usage_reports;
ALTER TABLE devices DROP COLUMN public_key, DROP COLUMN erased_at;
DROP TABLE erasures;
DROP TABLE former_customers;
DROP TABLE customers;
