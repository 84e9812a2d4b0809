-- +goose Up

-- The rules about devices are one JSON text, null for a license that has none. Minutes of idleness stand beside it for statements.
ALTER TABLE licenses ADD COLUMN device_rules        text;
ALTER TABLE licenses ADD COLUMN device_idle_minutes integer;
ALTER TABLE licenses ADD COLUMN transfers_used      integer NOT NULL DEFAULT 0;
ALTER TABLE licenses ADD COLUMN freed_seats         integer NOT NULL DEFAULT 0;
CREATE INDEX licenses_device_idle ON licenses (id) WHERE device_idle_minutes IS NOT NULL;
ALTER TABLE policies ADD COLUMN device_rules text;

-- first_activated_at is null for devices that took the short way of activation, which no license with a rule about new devices has.
ALTER TABLE devices ADD COLUMN first_activated_at datetime;
ALTER TABLE devices ADD COLUMN label              text NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN variables          text;
CREATE INDEX devices_first_activated ON devices (license_id, first_activated_at) WHERE first_activated_at IS NOT NULL;

-- The hash of a component is keyed and includes its name.
CREATE TABLE device_components (
    device_id  text  NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    license_id text  NOT NULL,
    name       text  NOT NULL,
    hash       blob  NOT NULL,
    PRIMARY KEY (device_id, name)
);
CREATE INDEX device_components_hash ON device_components (hash, license_id);

-- The ids that a device had before it was recognized by its components.
CREATE TABLE device_aliases (
    license_id  text        NOT NULL,
    hardware_id text        NOT NULL,
    device_id   text        NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    created_at  datetime NOT NULL,
    PRIMARY KEY (license_id, hardware_id)
);
CREATE INDEX device_aliases_device ON device_aliases (device_id, created_at);

-- Exactly one of hardware_id, network and component_hash is given.
CREATE TABLE blocks (
    id             text     NOT NULL UNIQUE,
    numeric_id     integer  PRIMARY KEY AUTOINCREMENT,
    hardware_id    text        NOT NULL,
    network        text        NOT NULL,
    component      text        NOT NULL,
    component_hash blob,
    license_id     text        REFERENCES licenses (id),
    product        text        NOT NULL,
    reason         text        NOT NULL,
    blocked_until  datetime,
    created_at     datetime NOT NULL
);
CREATE INDEX blocks_created_at ON blocks (created_at DESC, id DESC);

-- +goose Down
DROP TABLE blocks;
DROP TABLE device_aliases;
DROP TABLE device_components;
DROP INDEX devices_first_activated;
ALTER TABLE devices DROP COLUMN first_activated_at;
ALTER TABLE devices DROP COLUMN label;
ALTER TABLE devices DROP COLUMN variables;
ALTER TABLE policies DROP COLUMN device_rules;
DROP INDEX licenses_device_idle;
ALTER TABLE licenses DROP COLUMN device_rules;
ALTER TABLE licenses DROP COLUMN device_idle_minutes;
ALTER TABLE licenses DROP COLUMN transfers_used;
ALTER TABLE licenses DROP COLUMN freed_seats;
