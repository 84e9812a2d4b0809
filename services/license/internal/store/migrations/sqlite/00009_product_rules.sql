-- +goose Up

-- Licenses whose maintenance ends must not be activated by the one fast statement, which does not look at versions.
UPDATE licenses SET needs_checks = true WHERE maintenance_until IS NOT NULL;

-- The day of the month that the end had before a shorter month cut it, for renewals by months; 0 for none.
ALTER TABLE licenses ADD COLUMN end_day integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE licenses DROP COLUMN end_day;
