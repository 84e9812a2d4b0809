-- +goose Up
-- Every master key under which this schema holds a row, registered before the first such row is written.
CREATE TABLE master_keys (
    name          TEXT        PRIMARY KEY,
    registered_at TIMESTAMP   NOT NULL
);

-- +goose Down
DROP TABLE master_keys;
