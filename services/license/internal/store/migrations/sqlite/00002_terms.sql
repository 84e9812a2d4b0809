-- +goose Up

-- Every column has a default, so that the program of before can go on inserting and changing rows.
-- Terms.
ALTER TABLE licenses ADD COLUMN is_trial           boolean  NOT NULL DEFAULT false;
ALTER TABLE licenses ADD COLUMN duration_days      integer  NOT NULL DEFAULT 0;
ALTER TABLE licenses ADD COLUMN duration_months    integer  NOT NULL DEFAULT 0;
ALTER TABLE licenses ADD COLUMN first_activation   boolean  NOT NULL DEFAULT false;
ALTER TABLE licenses ADD COLUMN timezone           text     NOT NULL DEFAULT 'UTC';
ALTER TABLE licenses ADD COLUMN maintenance_until  datetime;
ALTER TABLE licenses ADD COLUMN offline_activation boolean  NOT NULL DEFAULT true;
-- Takes the place of plain_terms for statements: the program of before overwrites that by what it knows of terms.
ALTER TABLE licenses ADD COLUMN needs_checks       boolean  NOT NULL DEFAULT false;
-- State.
ALTER TABLE licenses ADD COLUMN started_at         datetime;
ALTER TABLE licenses ADD COLUMN suspended_at       datetime;
ALTER TABLE licenses ADD COLUMN suspended_until    datetime;
ALTER TABLE licenses ADD COLUMN suspension_reason  text     NOT NULL DEFAULT '';
-- The last status that events told of, of those which come by time alone.
ALTER TABLE licenses ADD COLUMN announced          text     NOT NULL DEFAULT '';
UPDATE licenses SET announced = 'expired' WHERE usable_until <= strftime('%Y-%m-%d %H:%M:%S+00:00', 'now');
CREATE INDEX licenses_ending ON licenses (expires_at) WHERE is_active = true AND announced <> 'expired';
CREATE INDEX licenses_starting ON licenses (starts_at) WHERE announced = 'not_started';
CREATE INDEX licenses_suspended_until ON licenses (suspended_until) WHERE suspended_until IS NOT NULL;

-- +goose Down
DROP INDEX licenses_suspended_until;
DROP INDEX licenses_starting;
DROP INDEX licenses_ending;
ALTER TABLE licenses DROP COLUMN is_trial;
ALTER TABLE licenses DROP COLUMN duration_days;
ALTER TABLE licenses DROP COLUMN duration_months;
ALTER TABLE licenses DROP COLUMN first_activation;
ALTER TABLE licenses DROP COLUMN timezone;
ALTER TABLE licenses DROP COLUMN maintenance_until;
ALTER TABLE licenses DROP COLUMN offline_activation;
ALTER TABLE licenses DROP COLUMN needs_checks;
ALTER TABLE licenses DROP COLUMN started_at;
ALTER TABLE licenses DROP COLUMN suspended_at;
ALTER TABLE licenses DROP COLUMN suspended_until;
ALTER TABLE licenses DROP COLUMN suspension_reason;
ALTER TABLE licenses DROP COLUMN announced;
