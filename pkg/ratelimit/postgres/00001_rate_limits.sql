-- +goose Up
-- Unlogged: after a crash of the server limits begin afresh, which is cheaper than a write-ahead record per call.
CREATE UNLOGGED TABLE rate_limits (
    key        text PRIMARY KEY,
    usage      bytea NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX rate_limits_updated_at ON rate_limits (updated_at);

-- +goose Down
DROP TABLE rate_limits;
