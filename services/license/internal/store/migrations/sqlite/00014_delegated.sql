-- +goose Up

-- Organisations activate devices by delegated keys, one credit for each device.
CREATE TABLE delegated_organisations (
    id           text        NOT NULL PRIMARY KEY,
    name         text        NOT NULL,
    total_credit integer      NOT NULL,
    used_credit  integer      NOT NULL CHECK (used_credit >= 0 AND used_credit <= total_credit),
    created_at   datetime NOT NULL
);
CREATE INDEX delegated_organisations_list ON delegated_organisations (created_at DESC, id DESC);

-- Keys of both kinds are long and random, so that a plain SHA-256 finds them and no key is needed for it.
CREATE TABLE delegated_masters (
    id               text        NOT NULL PRIMARY KEY,
    organisation_id  text        NOT NULL REFERENCES delegated_organisations (id),
    license_id       text        NOT NULL REFERENCES licenses (id),
    product          text        NOT NULL,
    operating_system text        NOT NULL,
    comment          text        NOT NULL,
    key_sha256       blob       NOT NULL UNIQUE,
    created_at       datetime NOT NULL,
    revoked_at       datetime
);
CREATE UNIQUE INDEX delegated_masters_one ON delegated_masters (organisation_id, product, operating_system)
    WHERE revoked_at IS NULL;
CREATE INDEX delegated_masters_list ON delegated_masters (organisation_id, created_at DESC, id DESC);

CREATE TABLE delegated_slaves (
    id              text        NOT NULL PRIMARY KEY,
    organisation_id text        NOT NULL REFERENCES delegated_organisations (id),
    master_id       text        NOT NULL REFERENCES delegated_masters (id),
    comment         text        NOT NULL,
    key_sha256      blob       NOT NULL UNIQUE,
    -- The only device that the key activates.
    runtime_key     text,
    created_at      datetime NOT NULL,
    used_at         datetime,
    revoked_at      datetime
);
CREATE INDEX delegated_slaves_list ON delegated_slaves (organisation_id, created_at DESC, id DESC);

-- The accounts of organisations. A device is charged for once, whatever key activates it.
CREATE TABLE delegated_charges (
    id               text        NOT NULL PRIMARY KEY,
    organisation_id  text        NOT NULL REFERENCES delegated_organisations (id),
    kind             text        NOT NULL,
    amount           integer      NOT NULL,
    total_credit     integer      NOT NULL,
    used_credit      integer      NOT NULL,
    reason           text,
    actor_id         text,
    actor_name       text,
    master_id        text,
    slave_id         text,
    license_id       text,
    product          text,
    operating_system text,
    runtime_key      text,
    token            text,
    at               datetime NOT NULL
);
CREATE UNIQUE INDEX delegated_charges_device ON delegated_charges (organisation_id, runtime_key)
    WHERE runtime_key IS NOT NULL;
CREATE INDEX delegated_charges_list ON delegated_charges (organisation_id, at DESC, id DESC);

-- +goose Down
DROP TABLE delegated_charges;
DROP TABLE delegated_slaves;
DROP TABLE delegated_masters;
DROP TABLE delegated_organisations;
