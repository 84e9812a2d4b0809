-- +goose Up

-- Nullable, so that the program of before can go on inserting licenses.
ALTER TABLE licenses ADD COLUMN entitlements text;
ALTER TABLE licenses ADD COLUMN counters text;
ALTER TABLE policies ADD COLUMN entitlements text;
ALTER TABLE policies ADD COLUMN counters text;

-- What was counted; what was agreed on a counter is a term of the license.
CREATE TABLE counters (
    license_id   text     NOT NULL REFERENCES licenses (id),
    name         text     NOT NULL,
    used         integer  NOT NULL CHECK (used >= 0),
    -- Grows with each reset.
    period       integer  NOT NULL,
    period_start datetime,
    resets_at    datetime,
    -- What period_start and resets_at were computed by.
    schedule     text     NOT NULL,
    -- The highest threshold that was announced and has not been left since, 0 for none.
    announced    integer  NOT NULL,
    PRIMARY KEY (license_id, name)
);

-- The parts of devices, of counters that keep them. One whose period is not that of its counter is over.
CREATE TABLE counter_devices (
    license_id  text    NOT NULL REFERENCES licenses (id),
    counter     text    NOT NULL,
    hardware_id text    NOT NULL,
    period      integer NOT NULL,
    used        integer NOT NULL CHECK (used >= 0),
    PRIMARY KEY (license_id, hardware_id, counter)
);
CREATE INDEX counter_devices_counter ON counter_devices (license_id, counter, used DESC);

-- Consumptions that may be repeated without effect, and undone once.
CREATE TABLE counter_operations (
    license_id   text     NOT NULL REFERENCES licenses (id),
    operation_id text     NOT NULL,
    request      text     NOT NULL,
    hardware_id  text     NOT NULL,
    created_at   datetime NOT NULL,
    applied      text     NOT NULL,
    answer       text     NOT NULL,
    undone_at    datetime,
    PRIMARY KEY (license_id, operation_id)
);
CREATE INDEX counter_operations_created_at ON counter_operations (created_at);

CREATE TABLE counter_history (
    id          text     NOT NULL UNIQUE,
    license_id  text     NOT NULL REFERENCES licenses (id),
    counter     text     NOT NULL,
    action      text     NOT NULL,
    at          datetime NOT NULL,
    used_before integer  NOT NULL,
    used_after  integer  NOT NULL,
    reason      text     NOT NULL,
    actor_id    text     NOT NULL,
    actor_name  text     NOT NULL
);
CREATE INDEX counter_history_counter ON counter_history (license_id, counter, at DESC, id DESC);
CREATE INDEX counter_history_at ON counter_history (at);

-- +goose Down
DROP TABLE counter_history;
DROP TABLE counter_operations;
DROP TABLE counter_devices;
DROP TABLE counters;
ALTER TABLE policies DROP COLUMN entitlements;
ALTER TABLE policies DROP COLUMN counters;
ALTER TABLE licenses DROP COLUMN entitlements;
ALTER TABLE licenses DROP COLUMN counters;
