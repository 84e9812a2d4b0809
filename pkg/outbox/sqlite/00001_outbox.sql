-- +goose Up
CREATE TABLE outbox (
    seq         INTEGER   PRIMARY KEY AUTOINCREMENT,
    id          TEXT      NOT NULL UNIQUE,
    type        TEXT      NOT NULL,
    source      TEXT      NOT NULL,
    subject     TEXT      NOT NULL,
    occurred_at TIMESTAMP NOT NULL,
    data        TEXT      NOT NULL,
    trace       TEXT      NOT NULL DEFAULT '',
    created_at  TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f+00:00', 'now')),
    sent_at     TIMESTAMP
);
CREATE INDEX outbox_unsent ON outbox (seq) WHERE sent_at IS NULL;
CREATE INDEX outbox_subject ON outbox (subject, occurred_at);
CREATE INDEX outbox_time ON outbox (occurred_at);
