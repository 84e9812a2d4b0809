-- +goose Up

-- Before, a product was the text that licenses named it by. The text stays as its name, and a code is made of it.
ALTER TABLE products ADD COLUMN code text;
ALTER TABLE products ADD COLUMN authorization_method text NOT NULL DEFAULT 'key';
ALTER TABLE products ADD COLUMN is_active boolean NOT NULL DEFAULT true;
ALTER TABLE products ADD COLUMN min_version text NOT NULL DEFAULT '';
ALTER TABLE products ADD COLUMN metadata text NOT NULL DEFAULT '{}';
ALTER TABLE products ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE products ADD COLUMN updated_at datetime;
CREATE UNIQUE INDEX products_code ON products (code);

-- Texts that are codes stay what they are.
UPDATE products SET code = name WHERE length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^A-Za-z0-9._-]*';

-- Of the others, each run of other characters becomes a hyphen; where a product has that code already, the end of the id follows.
WITH RECURSIVE step (id, numeric_id, rest, made) AS (
    SELECT id, numeric_id, name, '' FROM products WHERE code IS NULL
    UNION ALL
    SELECT id, numeric_id, substr(rest, 2), made || CASE
        WHEN substr(rest, 1, 1) GLOB '[A-Za-z0-9._-]' THEN substr(rest, 1, 1)
        WHEN substr(made, -1) = '-' THEN ''
        ELSE '-' END
    FROM step WHERE rest <> ''
), made (id, code, nth) AS (
    SELECT id, code, row_number() OVER (PARTITION BY code ORDER BY numeric_id) FROM (
        SELECT id, numeric_id, substr(coalesce(nullif(trim(made, '-'), ''), 'product'), 1, 55) AS code FROM step WHERE rest = ''
    )
)
UPDATE products SET code = (
    SELECT made.code || CASE
        WHEN nth > 1 OR EXISTS (SELECT 1 FROM products other WHERE other.code = made.code) THEN '-' || substr(made.id, -8)
        ELSE '' END
    FROM made WHERE made.id = products.id
) WHERE code IS NULL;

INSERT INTO products (id, code, name, created_at)
    VALUES ('00000000-0000-7000-8000-000000000001', 'default', 'default', strftime('%Y-%m-%d %H:%M:%f+00:00'))
    ON CONFLICT DO NOTHING;

CREATE TABLE releases (
    id                text     NOT NULL UNIQUE,
    numeric_id        integer  PRIMARY KEY AUTOINCREMENT,
    product_id        text     NOT NULL REFERENCES products (id),
    version           text     NOT NULL,
    released_at       datetime NOT NULL,
    channel           text     NOT NULL,
    environment       text     NOT NULL,
    url               text     NOT NULL,
    size              integer,
    sha256            text     NOT NULL,
    md5               text     NOT NULL,
    requires_version  text     NOT NULL,
    release_notes_url text     NOT NULL,
    eula_url          text     NOT NULL,
    enabled           boolean  NOT NULL,
    created_at        datetime NOT NULL,
    UNIQUE (product_id, version)
);
CREATE INDEX releases_released_at ON releases (product_id, released_at DESC, id DESC);

-- The columns of the terms are those of licenses.
CREATE TABLE policies (
    id                 text     NOT NULL UNIQUE,
    numeric_id         integer  PRIMARY KEY AUTOINCREMENT,
    code               text     NOT NULL UNIQUE,
    name               text     NOT NULL,
    product_id         text     REFERENCES products (id),
    version            integer  NOT NULL,
    created_at         datetime NOT NULL,
    updated_at         datetime NOT NULL,
    license_type       text     NOT NULL,
    max_devices        integer  NOT NULL,
    max_offline_hours  integer  NOT NULL,
    features           text     NOT NULL,
    starts_at          datetime,
    expires_at         datetime,
    grace_hours        integer  NOT NULL,
    is_trial           boolean  NOT NULL DEFAULT false,
    duration_days      integer  NOT NULL DEFAULT 0,
    duration_months    integer  NOT NULL DEFAULT 0,
    first_activation   boolean  NOT NULL DEFAULT false,
    timezone           text     NOT NULL DEFAULT 'UTC',
    maintenance_until  datetime,
    offline_activation boolean  NOT NULL DEFAULT true
);

-- A license keeps the code of the policy that its terms came from, also when that policy is gone.
ALTER TABLE licenses ADD COLUMN policy text;

CREATE INDEX licenses_product ON licenses (product_id, created_at DESC, id DESC);
CREATE INDEX licenses_policy ON licenses (policy, created_at DESC, id DESC) WHERE policy IS NOT NULL;
CREATE INDEX licenses_license_type ON licenses (license_type, created_at DESC, id DESC);
CREATE INDEX licenses_masked_key ON licenses (masked_key);

-- +goose Down
DROP INDEX licenses_masked_key;
DROP INDEX licenses_license_type;
DROP INDEX licenses_policy;
DROP INDEX licenses_product;
ALTER TABLE licenses DROP COLUMN policy;
DROP TABLE policies;
DROP TABLE releases;
DROP INDEX products_code;
ALTER TABLE products DROP COLUMN updated_at;
ALTER TABLE products DROP COLUMN version;
ALTER TABLE products DROP COLUMN metadata;
ALTER TABLE products DROP COLUMN min_version;
ALTER TABLE products DROP COLUMN is_active;
ALTER TABLE products DROP COLUMN authorization_method;
ALTER TABLE products DROP COLUMN code;
