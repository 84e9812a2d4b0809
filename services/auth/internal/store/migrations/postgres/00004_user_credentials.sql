-- +goose Up

-- The number of the credentials of the user who had the device's seat when the family began: it ends when there are newer ones.
-- NULL where nobody had signed in, and in families of before.
ALTER TABLE token_families ADD COLUMN user_credentials bigint;

-- +goose Down
ALTER TABLE token_families DROP COLUMN user_credentials;
