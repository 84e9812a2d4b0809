-- +goose Up

-- For lists of statuses that few licenses have.
CREATE INDEX licenses_suspended ON licenses (created_at DESC, id DESC) WHERE suspended_at IS NOT NULL;
CREATE INDEX licenses_starts_at ON licenses (starts_at) WHERE starts_at IS NOT NULL;
CREATE INDEX licenses_with_grace ON licenses (expires_at) WHERE grace_hours > 0;
CREATE INDEX licenses_grace_hours ON licenses (grace_hours) WHERE grace_hours > 0;

-- +goose Down
DROP INDEX licenses_grace_hours;
DROP INDEX licenses_with_grace;
DROP INDEX licenses_starts_at;
DROP INDEX licenses_suspended;
