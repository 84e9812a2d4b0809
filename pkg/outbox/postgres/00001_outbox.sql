-- +goose Up
CREATE TABLE outbox (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL UNIQUE,
    type        text        NOT NULL,
    source      text        NOT NULL,
    subject     text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    -- json, not jsonb: published as it was written, byte for byte
    data        json        NOT NULL,
    trace       text        NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz
);
CREATE INDEX outbox_unsent ON outbox (seq) WHERE sent_at IS NULL;
CREATE INDEX outbox_subject ON outbox (subject, occurred_at);
-- rows arrive in the order of time, so a few bytes per range of pages are enough
CREATE INDEX outbox_time ON outbox USING brin (occurred_at) WITH (autosummarize = on);
