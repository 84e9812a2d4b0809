-- +goose Up

-- Licenses of a group share its limits; null is any number. What is used of them is counted, under the lock of the group.
CREATE TABLE license_groups (
    id           uuid        PRIMARY KEY,
    numeric_id   bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    name         text        NOT NULL,
    max_devices  integer,
    max_licenses integer,
    metadata     text        NOT NULL,
    version      integer     NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
CREATE INDEX license_groups_created_at ON license_groups (created_at DESC, id DESC);

ALTER TABLE licenses ADD COLUMN group_id uuid REFERENCES license_groups (id);
CREATE INDEX licenses_group ON licenses (group_id, created_at DESC, id DESC) WHERE group_id IS NOT NULL;

-- Nobody has written users before. email_folded is the e-mail as it is compared. credentials grows when the tokens that a user has
-- shall be void. known_addresses are keyed hashes of where the user signed in from lately, as JSON.
ALTER TABLE users
    ADD COLUMN product_id           uuid REFERENCES products (id),
    ADD COLUMN email_folded         text NOT NULL DEFAULT '',
    ADD COLUMN name                 text NOT NULL DEFAULT '',
    ADD COLUMN max_devices          integer,
    ADD COLUMN password_hash        text NOT NULL DEFAULT '',
    ADD COLUMN must_change_password boolean NOT NULL DEFAULT false,
    ADD COLUMN credentials          integer NOT NULL DEFAULT 0,
    ADD COLUMN is_locked            boolean NOT NULL DEFAULT false,
    ADD COLUMN known_addresses      text NOT NULL DEFAULT '[]',
    ADD COLUMN signed_in_at         timestamptz,
    ADD COLUMN version              integer NOT NULL DEFAULT 1,
    ADD COLUMN updated_at           timestamptz;
CREATE UNIQUE INDEX users_email ON users (product_id, email_folded, customer_id);
CREATE INDEX users_created_at ON users (created_at DESC, id DESC);
CREATE INDEX users_customer ON users (customer_id, created_at DESC, id DESC);

CREATE TABLE license_users (
    license_id  uuid        NOT NULL REFERENCES licenses (id),
    user_id     uuid        NOT NULL REFERENCES users (id),
    assigned_at timestamptz NOT NULL,
    PRIMARY KEY (license_id, user_id)
);
CREATE INDEX license_users_user ON license_users (user_id, license_id);

-- The user who activated the device last, null for devices that came by the key of the license alone.
ALTER TABLE devices ADD COLUMN user_id uuid;
CREATE INDEX devices_user ON devices (user_id, license_id) WHERE user_id IS NOT NULL;

-- +goose Down
DROP INDEX devices_user;
ALTER TABLE devices DROP COLUMN user_id;
DROP TABLE license_users;
DROP INDEX users_customer;
DROP INDEX users_created_at;
DROP INDEX users_email;
ALTER TABLE users
    DROP COLUMN updated_at,
    DROP COLUMN version,
    DROP COLUMN signed_in_at,
    DROP COLUMN known_addresses,
    DROP COLUMN is_locked,
    DROP COLUMN credentials,
    DROP COLUMN must_change_password,
    DROP COLUMN password_hash,
    DROP COLUMN max_devices,
    DROP COLUMN name,
    DROP COLUMN email_folded,
    DROP COLUMN product_id;
DROP INDEX licenses_group;
ALTER TABLE licenses DROP COLUMN group_id;
DROP TABLE license_groups;
