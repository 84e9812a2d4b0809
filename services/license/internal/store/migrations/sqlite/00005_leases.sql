-- +goose Up

-- Floating terms, as JSON; null for a license without leases.
ALTER TABLE licenses ADD COLUMN floating text;
ALTER TABLE policies ADD COLUMN floating text;

-- Written under the lock of the license alone. Times are those of the database's clock.
CREATE TABLE leases (
    id             text        NOT NULL PRIMARY KEY,
    license_id     text        NOT NULL REFERENCES licenses (id),
    hardware_id    text        NOT NULL,
    session_id     text        NOT NULL,
    device_name    text        NOT NULL,
    entitlement    text        NOT NULL,
    leased_at      datetime    NOT NULL,
    last_seen_at   datetime    NOT NULL,
    expires_at     datetime    NOT NULL,
    borrowed_until datetime,
    -- How the lease ended; empty while it has not, and where nobody has noted yet that it has expired.
    ending         text        NOT NULL,
    ended_at       datetime
);
CREATE UNIQUE INDEX leases_holder ON leases (license_id, hardware_id, session_id) WHERE ending = '';
CREATE INDEX leases_live ON leases (license_id, expires_at) WHERE ending = '';
CREATE INDEX leases_due ON leases (expires_at) WHERE ending = '';
CREATE INDEX leases_ended ON leases (license_id, ended_at) WHERE ending <> '';

-- +goose Down
DROP TABLE leases;
ALTER TABLE policies DROP COLUMN floating;
ALTER TABLE licenses DROP COLUMN floating;
