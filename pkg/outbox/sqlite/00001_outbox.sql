-- +goose Up
-- the event log: rows are written once and never changed
CREATE TABLE outbox (
    seq         INTEGER   PRIMARY KEY AUTOINCREMENT,
    id          TEXT      NOT NULL,
    type        TEXT      NOT NULL,
    source      TEXT      NOT NULL,
    subject     TEXT      NOT NULL,
    occurred_at TIMESTAMP NOT NULL,
    data        TEXT      NOT NULL,
    trace       TEXT      NOT NULL DEFAULT '',
    created_at  TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f+00:00', 'now'))
);
CREATE INDEX outbox_subject ON outbox (subject, occurred_at);
CREATE INDEX outbox_time ON outbox (occurred_at);

-- what the bus has not confirmed: written with the event, deleted when it was sent
CREATE TABLE outbox_unsent (seq INTEGER PRIMARY KEY);
