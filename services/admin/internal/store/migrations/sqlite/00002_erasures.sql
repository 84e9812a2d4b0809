-- +goose Up
-- What the audit log must forget of customers that were erased, also of entries that arrive late: a license of theirs, or with an
-- empty license_id what names them. previous is a salted hash.
CREATE TABLE erasures (
    license_id  text NOT NULL,
    previous    text NOT NULL,
    salt        text NOT NULL,
    customer_id text NOT NULL,
    erased_at   datetime NOT NULL,
    -- A license that belongs to another customer now: the former customer_id alone goes.
    had         boolean NOT NULL,
    PRIMARY KEY (license_id, previous)
);

-- +goose Down
DROP TABLE erasures;
