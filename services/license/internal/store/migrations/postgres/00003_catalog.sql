-- +goose Up

-- Before, a product was the text that licenses named it by. The text stays as its name, and a code is made of it.
ALTER TABLE products
    ADD COLUMN code                 text,
    ADD COLUMN authorization_method text        NOT NULL DEFAULT 'key',
    ADD COLUMN is_active            boolean     NOT NULL DEFAULT true,
    ADD COLUMN min_version          text        NOT NULL DEFAULT '',
    ADD COLUMN metadata             text        NOT NULL DEFAULT '{}',
    ADD COLUMN version              integer     NOT NULL DEFAULT 1,
    ADD COLUMN updated_at           timestamptz;
CREATE UNIQUE INDEX products_code ON products (code);

-- free_product_code is the text with a hyphen for each run of other characters, and the end of the id where a product has
-- that code already.
-- +goose StatementBegin
CREATE FUNCTION free_product_code(name text, id uuid) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    made text := left(coalesce(nullif(btrim(regexp_replace(name, '[^A-Za-z0-9._-]+', '-', 'g'), '-'), ''), 'product'), 55);
BEGIN
    IF name ~ '^[A-Za-z0-9._-]{1,64}$' THEN
        made := name;
    END IF;
    IF EXISTS (SELECT 1 FROM products WHERE products.code = made) THEN
        made := left(made, 55) || '-' || right(id::text, 8);
    END IF;
    RETURN made;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
DECLARE
    p record;
BEGIN
    -- Texts that are codes stay what they are.
    UPDATE products SET code = name WHERE name ~ '^[A-Za-z0-9._-]{1,64}$';
    FOR p IN SELECT id, name FROM products WHERE code IS NULL ORDER BY numeric_id LOOP
        UPDATE products SET code = free_product_code(p.name, p.id) WHERE id = p.id;
    END LOOP;
END $$;
-- +goose StatementEnd

-- While a roll-out lasts, a program that knows no codes makes products, too.
-- Both functions keep the search path of now: whoever inserts may have another.
-- +goose StatementBegin
CREATE FUNCTION give_product_code() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.code := coalesce(NEW.code, free_product_code(NEW.name, NEW.id));
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER products_code BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION give_product_code();

INSERT INTO products (id, code, name, created_at) VALUES ('00000000-0000-7000-8000-000000000001', 'default', 'default', now())
    ON CONFLICT DO NOTHING;

CREATE TABLE releases (
    id                uuid        PRIMARY KEY,
    numeric_id        bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    product_id        uuid        NOT NULL REFERENCES products (id),
    version           text        NOT NULL,
    released_at       timestamptz NOT NULL,
    channel           text        NOT NULL,
    environment       text        NOT NULL,
    url               text        NOT NULL,
    size              bigint,
    sha256            text        NOT NULL,
    md5               text        NOT NULL,
    requires_version  text        NOT NULL,
    release_notes_url text        NOT NULL,
    eula_url          text        NOT NULL,
    enabled           boolean     NOT NULL,
    created_at        timestamptz NOT NULL,
    UNIQUE (product_id, version)
);
CREATE INDEX releases_released_at ON releases (product_id, released_at DESC, id DESC);

-- The columns of the terms are those of licenses.
CREATE TABLE policies (
    id                 uuid        PRIMARY KEY,
    numeric_id         bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    code               text        NOT NULL UNIQUE,
    name               text        NOT NULL,
    product_id         uuid        REFERENCES products (id),
    version            integer     NOT NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    license_type       text        NOT NULL,
    max_devices        integer     NOT NULL,
    max_offline_hours  integer     NOT NULL,
    features           text        NOT NULL,
    starts_at          timestamptz,
    expires_at         timestamptz,
    grace_hours        integer     NOT NULL,
    is_trial           boolean     NOT NULL DEFAULT false,
    duration_days      integer     NOT NULL DEFAULT 0,
    duration_months    integer     NOT NULL DEFAULT 0,
    first_activation   boolean     NOT NULL DEFAULT false,
    timezone           text        NOT NULL DEFAULT 'UTC',
    maintenance_until  timestamptz,
    offline_activation boolean     NOT NULL DEFAULT true
);

-- A license keeps the code of the policy that its terms came from, also when that policy is gone.
ALTER TABLE licenses ADD COLUMN policy text;

CREATE INDEX licenses_product ON licenses (product_id, created_at DESC, id DESC);
CREATE INDEX licenses_policy ON licenses (policy, created_at DESC, id DESC) WHERE policy IS NOT NULL;
CREATE INDEX licenses_license_type ON licenses (license_type, created_at DESC, id DESC);
-- For prefixes, whatever the collation of the database.
CREATE INDEX licenses_customer_prefix ON licenses (customer_id text_pattern_ops);
CREATE INDEX licenses_masked_key ON licenses (masked_key text_pattern_ops);
DROP INDEX devices_hardware_id;
CREATE INDEX devices_hardware_id ON devices (hardware_id text_pattern_ops) WHERE is_active;

-- +goose Down
DROP INDEX devices_hardware_id;
CREATE INDEX devices_hardware_id ON devices (hardware_id) WHERE is_active;
DROP INDEX licenses_masked_key;
DROP INDEX licenses_customer_prefix;
DROP INDEX licenses_license_type;
DROP INDEX licenses_product;
ALTER TABLE licenses DROP COLUMN policy;
DROP TABLE policies;
DROP TABLE releases;
DROP TRIGGER products_code ON products;
DROP FUNCTION give_product_code;
DROP FUNCTION free_product_code;
ALTER TABLE products
    DROP COLUMN code, DROP COLUMN authorization_method, DROP COLUMN is_active, DROP COLUMN min_version, DROP COLUMN metadata,
    DROP COLUMN version, DROP COLUMN updated_at;
