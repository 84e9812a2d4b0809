-- +goose Up
-- When a license may be used, beside its end. The program of before can go on inserting and changing rows.
ALTER TABLE licenses ADD COLUMN starts_at       timestamp;
ALTER TABLE licenses ADD COLUMN grace_hours     integer NOT NULL DEFAULT 0;
ALTER TABLE licenses ADD COLUMN usable_until    timestamp;
ALTER TABLE licenses ADD COLUMN suspended_at    timestamp;
ALTER TABLE licenses ADD COLUMN suspended_until timestamp;

-- +goose Down
ALTER TABLE licenses DROP COLUMN suspended_until;
ALTER TABLE licenses DROP COLUMN suspended_at;
ALTER TABLE licenses DROP COLUMN usable_until;
ALTER TABLE licenses DROP COLUMN grace_hours;
ALTER TABLE licenses DROP COLUMN starts_at;
