-- +goose Up

-- The hardware id for which offline_horizon was given; null for the one that the device has.
ALTER TABLE devices ADD COLUMN offline_hardware_id text;
-- For the devices that hold borrowings of a license, also those that were given back.
CREATE INDEX leases_borrowed ON leases (license_id, borrowed_until) WHERE borrowed_until IS NOT NULL;
-- For lists of licenses by an id that a device had before.
CREATE INDEX device_aliases_hardware_id ON device_aliases (hardware_id text_pattern_ops);

-- +goose Down
DROP INDEX device_aliases_hardware_id;
DROP INDEX leases_borrowed;
ALTER TABLE devices DROP COLUMN offline_hardware_id;
