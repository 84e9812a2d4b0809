-- +goose Up
-- the event log: rows are written once and never changed
CREATE TABLE outbox (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL,
    type        text        NOT NULL,
    source      text        NOT NULL,
    subject     text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    -- json, not jsonb: published as it was written, byte for byte
    data        json        NOT NULL,
    trace       text        NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_subject ON outbox (subject, occurred_at);
-- rows arrive in the order of time, so a few bytes per range of pages are enough
CREATE INDEX outbox_time ON outbox USING brin (occurred_at) WITH (autosummarize = on);

-- what the bus has not confirmed: written with the event, deleted when it was sent. Every claim begins at the low end of the
-- index, where the deleted entries are, so they are cleaned up after a fixed number and not after a share of the table.
CREATE TABLE outbox_unsent (seq bigint PRIMARY KEY)
    WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_insert_threshold = -1);
