-- +goose Up

-- The pair of the newest refresh token, sealed with the one that it was given for: that one gets it again for some seconds.
ALTER TABLE token_families ADD COLUMN answer bytea;

-- +goose Down
ALTER TABLE token_families DROP COLUMN answer;
