-- +goose Up

-- For the lists of those of which there are few: among all licenses, newest first, they would be looked for in vain.
CREATE INDEX IF NOT EXISTS licenses_trials ON licenses (created_at DESC, id DESC) WHERE is_trial;
CREATE INDEX IF NOT EXISTS licenses_tests ON licenses (created_at DESC, id DESC) WHERE is_test;

-- +goose Down
DROP INDEX licenses_tests;
DROP INDEX licenses_trials;
