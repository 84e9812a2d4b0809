-- +goose Up
CREATE TABLE bus_dead_letters (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       uuid NOT NULL UNIQUE,
    queue    text NOT NULL,
    message  text NOT NULL,
    bytes    bigint NOT NULL,
    reason   text NOT NULL,
    attempts integer NOT NULL,
    died_at  timestamptz NOT NULL
);
CREATE INDEX bus_dead_letters_queue ON bus_dead_letters (queue, seq, bytes);

-- +goose Down
DROP TABLE bus_dead_letters;
