-- +goose Up
CREATE TABLE bus_dead_letters (
    seq      INTEGER   PRIMARY KEY AUTOINCREMENT,
    id       TEXT      NOT NULL UNIQUE,
    queue    TEXT      NOT NULL,
    message  TEXT      NOT NULL,
    bytes    INTEGER   NOT NULL,
    reason   TEXT      NOT NULL,
    attempts INTEGER   NOT NULL,
    died_at  TIMESTAMP NOT NULL
);
CREATE INDEX bus_dead_letters_queue ON bus_dead_letters (queue, seq, bytes);

-- +goose Down
DROP TABLE bus_dead_letters;
