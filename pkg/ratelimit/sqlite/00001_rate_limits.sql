-- +goose Up
CREATE TABLE rate_limits (
    key        text PRIMARY KEY,
    usage      blob NOT NULL,
    -- when its last call leaves the longest window
    expires_at TIMESTAMP NOT NULL
);
CREATE INDEX rate_limits_expires_at ON rate_limits (expires_at);

-- +goose Down
DROP TABLE rate_limits;
