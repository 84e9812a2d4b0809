-- +goose Up
CREATE TABLE rate_limits (
    key        text PRIMARY KEY,
    usage      blob NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX rate_limits_updated_at ON rate_limits (updated_at);

-- +goose Down
DROP TABLE rate_limits;
