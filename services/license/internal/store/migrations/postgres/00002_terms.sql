-- +goose Up

-- Every column has a default, so that the program of before can go on inserting and changing rows.
ALTER TABLE licenses
    -- Terms.
    ADD COLUMN is_trial           boolean     NOT NULL DEFAULT false,
    ADD COLUMN duration_days      integer     NOT NULL DEFAULT 0,
    ADD COLUMN duration_months    integer     NOT NULL DEFAULT 0,
    ADD COLUMN first_activation   boolean     NOT NULL DEFAULT false,
    ADD COLUMN timezone           text        NOT NULL DEFAULT 'UTC',
    ADD COLUMN maintenance_until  timestamptz,
    ADD COLUMN offline_activation boolean     NOT NULL DEFAULT true,
    -- Takes the place of plain_terms for statements: the program of before overwrites that by what it knows of terms.
    ADD COLUMN needs_checks       boolean     NOT NULL DEFAULT false,
    -- State.
    ADD COLUMN started_at         timestamptz,
    ADD COLUMN suspended_at       timestamptz,
    ADD COLUMN suspended_until    timestamptz,
    ADD COLUMN suspension_reason  text        NOT NULL DEFAULT '',
    -- The last status that events told of, of those which come by time alone.
    ADD COLUMN announced          text        NOT NULL DEFAULT '';
UPDATE licenses SET announced = 'expired' WHERE usable_until <= now();
CREATE INDEX licenses_ending ON licenses (expires_at) WHERE is_active = true AND announced <> 'expired';
CREATE INDEX licenses_starting ON licenses (starts_at) WHERE announced = 'not_started';
CREATE INDEX licenses_suspended_until ON licenses (suspended_until) WHERE suspended_until IS NOT NULL;

-- +goose Down
DROP INDEX licenses_suspended_until;
DROP INDEX licenses_starting;
DROP INDEX licenses_ending;
ALTER TABLE licenses
    DROP COLUMN is_trial,
    DROP COLUMN duration_days,
    DROP COLUMN duration_months,
    DROP COLUMN first_activation,
    DROP COLUMN timezone,
    DROP COLUMN maintenance_until,
    DROP COLUMN offline_activation,
    DROP COLUMN needs_checks,
    DROP COLUMN started_at,
    DROP COLUMN suspended_at,
    DROP COLUMN suspended_until,
    DROP COLUMN suspension_reason,
    DROP COLUMN announced;
