-- +goose Up
-- A row is a batch of events that could not be published. Whoever publishes it claims it first, for a time.
CREATE TABLE telemetry_spill (
    seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    events        integer NOT NULL,
    bytes         bigint NOT NULL,
    claim         uuid,
    claimed_until timestamptz,
    payload       text NOT NULL
);

-- +goose Down
DROP TABLE telemetry_spill;
