-- +goose Up
ALTER TABLE admin_keys DROP CONSTRAINT admin_keys_role_check;
ALTER TABLE admin_keys ADD CONSTRAINT admin_keys_role_check CHECK (role IN ('owner', 'operator', 'support', 'viewer'));
