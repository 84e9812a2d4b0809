-- +goose Up
-- What was refused of a license, newest first. A query has to name the types in the same words, or no engine uses the index.
CREATE INDEX IF NOT EXISTS events_refusals ON events (license_id, occurred_at) WHERE license_id IS NOT NULL AND type IN
    ('license.validation.failed', 'license.device_limit_exceeded', 'license.activation.refused', 'license.lease.denied');

-- +goose Down
DROP INDEX events_refusals;
