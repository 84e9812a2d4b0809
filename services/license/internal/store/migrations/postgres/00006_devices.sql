-- +goose Up

-- The rules about devices are one JSON text, null for a license that has none. Minutes of idleness stand beside it for statements.
ALTER TABLE licenses
    ADD COLUMN device_rules        text,
    ADD COLUMN device_idle_minutes integer,
    ADD COLUMN transfers_used      integer NOT NULL DEFAULT 0,
    ADD COLUMN freed_seats         integer NOT NULL DEFAULT 0;
CREATE INDEX licenses_device_idle ON licenses (id) WHERE device_idle_minutes IS NOT NULL;
ALTER TABLE policies ADD COLUMN device_rules text;

-- first_activated_at is null for devices that took the short way of activation, which no license with a rule about new devices has.
ALTER TABLE devices
    ADD COLUMN first_activated_at timestamptz,
    ADD COLUMN label              text NOT NULL DEFAULT '',
    ADD COLUMN variables          text;
CREATE INDEX devices_first_activated ON devices (license_id, first_activated_at) WHERE first_activated_at IS NOT NULL;

-- The hash of a component is keyed and includes its name.
CREATE TABLE device_components (
    device_id  uuid  NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    license_id uuid  NOT NULL,
    name       text  NOT NULL,
    hash       bytea NOT NULL,
    PRIMARY KEY (device_id, name)
);
CREATE INDEX device_components_hash ON device_components (hash, license_id);

-- The ids that a device had before it was recognized by its components.
CREATE TABLE device_aliases (
    license_id  uuid        NOT NULL,
    hardware_id text        NOT NULL,
    device_id   uuid        NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (license_id, hardware_id)
);
CREATE INDEX device_aliases_device ON device_aliases (device_id, created_at);

-- Exactly one of hardware_id, network and component_hash is given.
CREATE TABLE blocks (
    id             uuid        PRIMARY KEY,
    numeric_id     bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    hardware_id    text        NOT NULL,
    network        text        NOT NULL,
    component      text        NOT NULL,
    component_hash bytea,
    license_id     uuid        REFERENCES licenses (id),
    product        text        NOT NULL,
    reason         text        NOT NULL,
    blocked_until  timestamptz,
    created_at     timestamptz NOT NULL
);
CREATE INDEX blocks_created_at ON blocks (created_at DESC, id DESC);

-- +goose Down
DROP TABLE blocks;
DROP TABLE device_aliases;
DROP TABLE device_components;
DROP INDEX devices_first_activated;
ALTER TABLE devices DROP COLUMN first_activated_at, DROP COLUMN label, DROP COLUMN variables;
ALTER TABLE policies DROP COLUMN device_rules;
DROP INDEX licenses_device_idle;
ALTER TABLE licenses
    DROP COLUMN device_rules, DROP COLUMN device_idle_minutes, DROP COLUMN transfers_used, DROP COLUMN freed_seats;
