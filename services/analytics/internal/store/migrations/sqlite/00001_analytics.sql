-- +goose Up
-- How far the consumption has come. taken counts the events; each carries the count at the end of its batch as its position. Events up
-- to replay_after are part of every stored detector state.
CREATE TABLE consumer (
    name           text PRIMARY KEY,
    epoch          integer NOT NULL,
    taken          integer NOT NULL DEFAULT 0,
    replay_after   integer NOT NULL DEFAULT 0,
    lag_ms         integer,
    first_event_at timestamp,
    last_event_at  timestamp
);

-- What was taken already. Telemetry, forgotten sooner than what can be published again, is apart, so that the rows of both lie in
-- the order in which they expire.
CREATE TABLE inbox (
    event_id   text PRIMARY KEY,
    expires_at timestamp NOT NULL
);
CREATE INDEX inbox_expires_at ON inbox (expires_at);
CREATE TABLE telemetry_inbox (
    event_id   text PRIMARY KEY,
    expires_at timestamp NOT NULL
);
CREATE INDEX telemetry_inbox_expires_at ON telemetry_inbox (expires_at);

-- The event log: appended in about the order of time, read by license, pruned by time.
CREATE TABLE events (
    event_id    text NOT NULL,
    type        text NOT NULL,
    occurred_at timestamp NOT NULL,
    license_id  text,
    position    integer NOT NULL,
    data        text NOT NULL
);
CREATE INDEX events_position ON events (position);
CREATE INDEX events_occurred_at ON events (occurred_at);
CREATE INDEX events_license ON events (license_id, occurred_at) WHERE license_id IS NOT NULL;

-- A license's row holds its latest day, a device's row likewise: earlier ones have rows of their own, written once in most cases.
CREATE TABLE licenses (
    license_id        text PRIMARY KEY,
    customer_id       text NOT NULL,
    product           text NOT NULL,
    license_type      text NOT NULL,
    is_test           boolean NOT NULL,
    identity_version  integer NOT NULL,
    max_devices       integer NOT NULL,
    limit_version     integer NOT NULL,
    current_devices   integer NOT NULL,
    seats_version     integer NOT NULL,
    is_active         boolean NOT NULL,
    active_version    integer NOT NULL,
    expires_at        timestamp,
    expiry_version    integer NOT NULL,
    created_at        timestamp,
    first_event_at    timestamp NOT NULL,
    last_seen         timestamp,
    last_validated_at timestamp,
    validations       integer NOT NULL,
    day               timestamp NOT NULL,
    day_validations   integer NOT NULL,
    day_failures      integer NOT NULL,
    day_activations   integer NOT NULL,
    day_deactivations integer NOT NULL,
    day_heartbeats    integer NOT NULL,
    day_events        integer NOT NULL,
    day_hours         blob NOT NULL,
    risk_score        integer NOT NULL DEFAULT 0
);
CREATE INDEX licenses_customer ON licenses (customer_id, license_id);
CREATE INDEX licenses_expires_at ON licenses (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX licenses_risk ON licenses (risk_score DESC, license_id) WHERE risk_score > 0;

CREATE TABLE fleet (
    step          text NOT NULL,
    starts_at     timestamp NOT NULL,
    validations   integer NOT NULL,
    failures      integer NOT NULL,
    activations   integer NOT NULL,
    deactivations integer NOT NULL,
    heartbeats    integer NOT NULL,
    events        integer NOT NULL,
    PRIMARY KEY (step, starts_at)
);

CREATE TABLE fleet_failures (
    starts_at  timestamp NOT NULL,
    error_code text NOT NULL,
    failures   integer NOT NULL,
    PRIMARY KEY (starts_at, error_code)
);

CREATE TABLE license_past_days (
    license_id    text NOT NULL,
    day           timestamp NOT NULL,
    validations   integer NOT NULL,
    failures      integer NOT NULL,
    activations   integer NOT NULL,
    deactivations integer NOT NULL,
    heartbeats    integer NOT NULL,
    events        integer NOT NULL,
    hours         blob NOT NULL,
    PRIMARY KEY (license_id, day)
);
CREATE INDEX license_past_days_day ON license_past_days (day);
CREATE VIEW license_days AS
    SELECT license_id, day, validations, failures, activations, deactivations, heartbeats, events, hours FROM license_past_days
    UNION ALL SELECT license_id, day, day_validations, day_failures, day_activations, day_deactivations, day_heartbeats, day_events,
        day_hours FROM licenses;

CREATE TABLE license_failures (
    license_id text NOT NULL,
    day        timestamp NOT NULL,
    error_code text NOT NULL,
    failures   integer NOT NULL,
    PRIMARY KEY (license_id, day, error_code)
);

CREATE TABLE devices (
    license_id     text NOT NULL,
    hardware_id    text NOT NULL,
    name           text NOT NULL,
    name_at        timestamp,
    os             text NOT NULL,
    os_at          timestamp,
    country        text NOT NULL,
    country_at     timestamp,
    app_version    text NOT NULL,
    app_version_at timestamp,
    first_seen     timestamp,
    last_seen      timestamp,
    has_seat       boolean NOT NULL,
    seat_version   integer NOT NULL,
    versions       text NOT NULL,
    day            timestamp,
    day_hours      integer NOT NULL,
    day_uses       integer NOT NULL,
    PRIMARY KEY (license_id, hardware_id)
);

CREATE TABLE device_past_days (
    license_id  text NOT NULL,
    day         timestamp NOT NULL,
    hardware_id text NOT NULL,
    hours       integer NOT NULL,
    uses        integer NOT NULL,
    PRIMARY KEY (license_id, day, hardware_id)
);
CREATE VIEW device_days AS
    SELECT license_id, day, hardware_id, hours, uses FROM device_past_days
    UNION ALL SELECT license_id, day, hardware_id, day_hours, day_uses FROM devices WHERE day IS NOT NULL;

-- The networks that a license was used from, and on which day last.
CREATE TABLE networks (
    license_id text NOT NULL,
    network    text NOT NULL,
    last_day   timestamp NOT NULL,
    PRIMARY KEY (license_id, network)
);

-- What the detectors remember of a license ("license:<id>") or an address ("ip:<address>"), after all its
-- events up to position.
CREATE TABLE detector_states (
    subject    text PRIMARY KEY,
    position   integer NOT NULL,
    state      blob NOT NULL,
    updated_at timestamp NOT NULL
);

CREATE TABLE anomalies (
    anomaly_id    text PRIMARY KEY,
    subject       text NOT NULL,
    license_id    text,
    type          text NOT NULL,
    severity      text NOT NULL,
    score         real NOT NULL,
    status        text NOT NULL,
    first_seen    timestamp NOT NULL,
    detected_at   timestamp NOT NULL,
    last_seen     timestamp NOT NULL,
    closed_at     timestamp,
    reason        text NOT NULL,
    observed      text NOT NULL,
    expected      text NOT NULL,
    baseline_days integer NOT NULL,
    evidence      text NOT NULL,
    considered    text NOT NULL,
    suggestion    text NOT NULL,
    note          text NOT NULL
);
CREATE UNIQUE INDEX anomalies_one_open ON anomalies (subject, type) WHERE closed_at IS NULL;
CREATE INDEX anomalies_license ON anomalies (license_id, detected_at) WHERE license_id IS NOT NULL;
CREATE INDEX anomalies_detected_at ON anomalies (detected_at, anomaly_id);
CREATE INDEX anomalies_subject ON anomalies (subject, last_seen);

CREATE TABLE risk_scores (
    license_id text NOT NULL,
    day        timestamp NOT NULL,
    score      integer NOT NULL,
    PRIMARY KEY (license_id, day)
);
CREATE INDEX risk_scores_day ON risk_scores (day);

-- +goose Down
DROP VIEW device_days;
DROP VIEW license_days;
DROP TABLE risk_scores;
DROP TABLE anomalies;
DROP TABLE detector_states;
DROP TABLE networks;
DROP TABLE device_past_days;
DROP TABLE devices;
DROP TABLE license_failures;
DROP TABLE license_past_days;
DROP TABLE fleet_failures;
DROP TABLE fleet;
DROP TABLE licenses;
DROP TABLE events;
DROP TABLE telemetry_inbox;
DROP TABLE inbox;
DROP TABLE consumer;
