-- +goose Up

-- On PostgreSQL this makes an index of members of the metadata, which SQLite does not have.
SELECT 1;
