-- +goose Up
-- Unlogged: after a crash of the server limits begin afresh, which is cheaper than a write-ahead record per call.
CREATE UNLOGGED TABLE rate_limits (
    key        text PRIMARY KEY,
    usage      bytea NOT NULL,
    -- when its last call leaves the longest window
    expires_at timestamptz NOT NULL
);
CREATE INDEX rate_limits_expires_at ON rate_limits (expires_at);

-- +goose Down
DROP TABLE rate_limits;
