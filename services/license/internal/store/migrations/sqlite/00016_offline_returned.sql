-- +goose Up

-- Until when a device may run offline by what it cannot give back: offline_until without the offline activations of
-- other vendors' clients.
ALTER TABLE devices ADD COLUMN tokens_until datetime;
UPDATE devices SET tokens_until = offline_until WHERE offline_until IS NOT NULL;

-- +goose Down
ALTER TABLE devices DROP COLUMN tokens_until;
