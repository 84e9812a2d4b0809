-- +goose Up

-- What is counted whenever a slave is made.
CREATE INDEX delegated_slaves_live ON delegated_slaves (organisation_id) WHERE revoked_at IS NULL;

-- +goose Down
DROP INDEX delegated_slaves_live;
