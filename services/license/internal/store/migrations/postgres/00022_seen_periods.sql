-- +goose Up

-- The periods in which sightings of devices were written. What lies between them, an outage or maintenance, is not idle time of any device.
CREATE TABLE seen_periods (
    began_at timestamptz NOT NULL PRIMARY KEY,
    until    timestamptz NOT NULL
);

-- +goose Down
DROP TABLE seen_periods;
