-- +goose Up
CREATE TABLE telemetry_spill (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    events        INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    claim         TEXT,
    claimed_until TIMESTAMP,
    payload       TEXT NOT NULL
);

-- +goose Down
DROP TABLE telemetry_spill;
