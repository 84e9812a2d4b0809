-- +goose Up

-- Licenses of a group share its limits; null is any number. What is used of them is counted, under the lock of the group.
CREATE TABLE license_groups (
    id           text     NOT NULL UNIQUE,
    numeric_id   integer  PRIMARY KEY AUTOINCREMENT,
    name         text     NOT NULL,
    max_devices  integer,
    max_licenses integer,
    metadata     text     NOT NULL,
    version      integer  NOT NULL,
    created_at   datetime NOT NULL,
    updated_at   datetime NOT NULL
);
CREATE INDEX license_groups_created_at ON license_groups (created_at DESC, id DESC);

ALTER TABLE licenses ADD COLUMN group_id text REFERENCES license_groups (id);
CREATE INDEX licenses_group ON licenses (group_id, created_at DESC, id DESC) WHERE group_id IS NOT NULL;

-- Nobody has written users before. email_folded is the e-mail as it is compared. credentials grows when the tokens that a user has
-- shall be void. known_addresses are keyed hashes of where the user signed in from lately, as JSON.
ALTER TABLE users ADD COLUMN product_id           text REFERENCES products (id);
ALTER TABLE users ADD COLUMN email_folded         text NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN name                 text NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN max_devices          integer;
ALTER TABLE users ADD COLUMN password_hash        text NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN must_change_password boolean NOT NULL DEFAULT false;
ALTER TABLE users ADD COLUMN credentials          integer NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN is_locked            boolean NOT NULL DEFAULT false;
ALTER TABLE users ADD COLUMN known_addresses      text NOT NULL DEFAULT '[]';
ALTER TABLE users ADD COLUMN signed_in_at         datetime;
ALTER TABLE users ADD COLUMN version              integer NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN updated_at           datetime;
CREATE UNIQUE INDEX users_email ON users (product_id, email_folded, customer_id);
CREATE INDEX users_created_at ON users (created_at DESC, id DESC);
CREATE INDEX users_customer ON users (customer_id, created_at DESC, id DESC);

CREATE TABLE license_users (
    license_id  text     NOT NULL REFERENCES licenses (id),
    user_id     text     NOT NULL REFERENCES users (id),
    assigned_at datetime NOT NULL,
    PRIMARY KEY (license_id, user_id)
);
CREATE INDEX license_users_user ON license_users (user_id, license_id);

-- The user who activated the device last, null for devices that came by the key of the license alone.
ALTER TABLE devices ADD COLUMN user_id text;
CREATE INDEX devices_user ON devices (user_id, license_id) WHERE user_id IS NOT NULL;

-- +goose Down
DROP INDEX devices_user;
ALTER TABLE devices DROP COLUMN user_id;
DROP TABLE license_users;
DROP INDEX users_customer;
DROP INDEX users_created_at;
DROP INDEX users_email;
ALTER TABLE users DROP COLUMN updated_at;
ALTER TABLE users DROP COLUMN version;
ALTER TABLE users DROP COLUMN signed_in_at;
ALTER TABLE users DROP COLUMN known_addresses;
ALTER TABLE users DROP COLUMN is_locked;
ALTER TABLE users DROP COLUMN credentials;
ALTER TABLE users DROP COLUMN must_change_password;
ALTER TABLE users DROP COLUMN password_hash;
ALTER TABLE users DROP COLUMN max_devices;
ALTER TABLE users DROP COLUMN name;
ALTER TABLE users DROP COLUMN email_folded;
ALTER TABLE users DROP COLUMN product_id;
DROP INDEX licenses_group;
ALTER TABLE licenses DROP COLUMN group_id;
DROP TABLE license_groups;
