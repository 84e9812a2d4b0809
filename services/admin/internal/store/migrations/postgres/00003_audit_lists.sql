-- +goose Up

-- Lists of the audit log by action, the erasure of customers where no license is named, and what was erased before entries arrive.
CREATE INDEX IF NOT EXISTS audit_entries_action ON audit_entries (action, occurred_at, audit_id);
CREATE INDEX IF NOT EXISTS audit_entries_unlicensed ON audit_entries (audit_id) WHERE license_id IS NULL;
CREATE INDEX IF NOT EXISTS erasures_time ON erasures (license_id, erased_at);

-- +goose Down
DROP INDEX erasures_time;
DROP INDEX audit_entries_unlicensed;
DROP INDEX audit_entries_action;
