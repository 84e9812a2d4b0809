-- +goose Up

-- The trials that applications asked for themselves: one for each e-mail address, in lower case, and product.
CREATE TABLE trials (
    product_id uuid        NOT NULL REFERENCES products (id),
    email      text        NOT NULL,
    -- Null only within the transaction that makes the license.
    license_id uuid        REFERENCES licenses (id),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (product_id, email)
);
CREATE INDEX trials_license ON trials (license_id);

-- The codes of the products that a license of this one is for, as JSON; empty for a product that is no bundle.
ALTER TABLE products ADD COLUMN bundle text NOT NULL DEFAULT '[]';

-- Whether the keys of an integration stay on servers of the vendor.
ALTER TABLE integrations ADD COLUMN server_side boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE integrations DROP COLUMN server_side;
ALTER TABLE products DROP COLUMN bundle;
DROP TABLE trials;
