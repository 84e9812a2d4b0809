-- +goose Up

-- What is counted whenever a slave is made.
CREATE INDEX delegated_slaves_live ON delegated_slaves (organisation_id) WHERE revoked_at IS NULL;
-- For the list of those that have expired: among all licenses they are the oldest.
CREATE INDEX licenses_expired ON licenses (created_at DESC, id DESC) WHERE announced = 'expired';

-- +goose Down
DROP INDEX licenses_expired;
DROP INDEX delegated_slaves_live;
