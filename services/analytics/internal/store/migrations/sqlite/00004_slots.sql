-- +goose Up
-- How many devices may run by a lease without having a seat. The next change of a license tells it. The program of before can go on
-- inserting and changing rows.
ALTER TABLE licenses ADD COLUMN slots integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE licenses DROP COLUMN slots;
