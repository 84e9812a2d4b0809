-- +goose Up

-- The code of the product to whose licenses the key is bound, empty for all. Products are the license service's.
ALTER TABLE api_keys ADD COLUMN product text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE api_keys DROP COLUMN product;
