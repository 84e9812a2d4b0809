-- +goose Up
-- How far the consumption has come. taken counts the events; each carries the count at the end of its batch as its position. Events up
-- to replay_after are part of every stored detector state.
CREATE TABLE consumer (
    name           text PRIMARY KEY,
    epoch          bigint NOT NULL,
    taken          bigint NOT NULL DEFAULT 0,
    replay_after   bigint NOT NULL DEFAULT 0,
    lag_ms         bigint,
    first_event_at timestamptz,
    last_event_at  timestamptz
);

-- What was taken already. Telemetry, forgotten sooner than what can be published again, is apart, so that the rows of both lie in
-- the order in which they expire.
CREATE TABLE inbox (
    event_id   uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX inbox_expires_at ON inbox USING brin (expires_at);
CREATE TABLE telemetry_inbox (
    event_id   uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX telemetry_inbox_expires_at ON telemetry_inbox USING brin (expires_at);

-- The event log: appended in about the order of time, read by license, pruned by time.
CREATE TABLE events (
    event_id    uuid NOT NULL,
    type        text NOT NULL,
    occurred_at timestamptz NOT NULL,
    license_id  uuid,
    position    bigint NOT NULL,
    data        json NOT NULL
);
CREATE INDEX events_progress ON events USING brin (occurred_at, position);
CREATE INDEX events_license ON events (license_id, occurred_at) WHERE license_id IS NOT NULL;

-- Rows that every batch touches have no index over what changes with each use, so that PostgreSQL updates them in place. Half of
-- the pages of licenses stays free for that: a batch may touch every row of a page at once.
-- A license's row holds its latest day, a device's row likewise: earlier ones have rows of their own, written once in most cases.
CREATE TABLE licenses (
    license_id        uuid PRIMARY KEY,
    customer_id       text NOT NULL,
    product           text NOT NULL,
    license_type      text NOT NULL,
    is_test           boolean NOT NULL,
    identity_version  bigint NOT NULL,
    max_devices       bigint NOT NULL,
    limit_version     bigint NOT NULL,
    current_devices   bigint NOT NULL,
    seats_version     bigint NOT NULL,
    is_active         boolean NOT NULL,
    active_version    bigint NOT NULL,
    expires_at        timestamptz,
    expiry_version    bigint NOT NULL,
    created_at        timestamptz,
    first_event_at    timestamptz NOT NULL,
    last_seen         timestamptz,
    last_validated_at timestamptz,
    validations       bigint NOT NULL,
    day               timestamptz NOT NULL,
    day_validations   bigint NOT NULL,
    day_failures      bigint NOT NULL,
    day_activations   bigint NOT NULL,
    day_deactivations bigint NOT NULL,
    day_heartbeats    bigint NOT NULL,
    day_events        bigint NOT NULL,
    day_hours         bytea NOT NULL,
    risk_score        integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE INDEX licenses_customer ON licenses (customer_id, license_id);
CREATE INDEX licenses_expires_at ON licenses (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX licenses_risk ON licenses (risk_score DESC, license_id) WHERE risk_score > 0;

CREATE TABLE fleet (
    step          text NOT NULL,
    starts_at     timestamptz NOT NULL,
    validations   bigint NOT NULL,
    failures      bigint NOT NULL,
    activations   bigint NOT NULL,
    deactivations bigint NOT NULL,
    heartbeats    bigint NOT NULL,
    events        bigint NOT NULL,
    PRIMARY KEY (step, starts_at)
) WITH (fillfactor = 80);

CREATE TABLE fleet_failures (
    starts_at  timestamptz NOT NULL,
    error_code text NOT NULL,
    failures   bigint NOT NULL,
    PRIMARY KEY (starts_at, error_code)
);

CREATE TABLE license_past_days (
    license_id    uuid NOT NULL,
    day           timestamptz NOT NULL,
    validations   bigint NOT NULL,
    failures      bigint NOT NULL,
    activations   bigint NOT NULL,
    deactivations bigint NOT NULL,
    heartbeats    bigint NOT NULL,
    events        bigint NOT NULL,
    hours         bytea NOT NULL,
    PRIMARY KEY (license_id, day)
);
CREATE INDEX license_past_days_day ON license_past_days USING brin (day);
CREATE VIEW license_days AS
    SELECT license_id, day, validations, failures, activations, deactivations, heartbeats, events, hours FROM license_past_days
    UNION ALL SELECT license_id, day, day_validations, day_failures, day_activations, day_deactivations, day_heartbeats, day_events,
        day_hours FROM licenses;

CREATE TABLE license_failures (
    license_id uuid NOT NULL,
    day        timestamptz NOT NULL,
    error_code text NOT NULL,
    failures   bigint NOT NULL,
    PRIMARY KEY (license_id, day, error_code)
);

CREATE TABLE devices (
    license_id     uuid NOT NULL,
    hardware_id    text NOT NULL,
    name           text NOT NULL,
    name_at        timestamptz,
    os             text NOT NULL,
    os_at          timestamptz,
    country        text NOT NULL,
    country_at     timestamptz,
    app_version    text NOT NULL,
    app_version_at timestamptz,
    first_seen     timestamptz,
    last_seen      timestamptz,
    has_seat       boolean NOT NULL,
    seat_version   bigint NOT NULL,
    versions       jsonb NOT NULL,
    day            timestamptz,
    day_hours      bigint NOT NULL,
    day_uses       bigint NOT NULL,
    PRIMARY KEY (license_id, hardware_id)
) WITH (fillfactor = 80);

CREATE TABLE device_past_days (
    license_id  uuid NOT NULL,
    day         timestamptz NOT NULL,
    hardware_id text NOT NULL,
    hours       bigint NOT NULL,
    uses        bigint NOT NULL,
    PRIMARY KEY (license_id, day, hardware_id)
);
CREATE VIEW device_days AS
    SELECT license_id, day, hardware_id, hours, uses FROM device_past_days
    UNION ALL SELECT license_id, day, hardware_id, day_hours, day_uses FROM devices WHERE day IS NOT NULL;

-- The networks that a license was used from, and on which day last.
CREATE TABLE networks (
    license_id uuid NOT NULL,
    network    text NOT NULL,
    last_day   timestamptz NOT NULL,
    PRIMARY KEY (license_id, network)
);

-- What the detectors remember of a license ("license:<id>") or an address ("ip:<address>"), after all its
-- events up to position.
CREATE TABLE detector_states (
    subject    text PRIMARY KEY,
    position   bigint NOT NULL,
    state      bytea NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE anomalies (
    anomaly_id    uuid PRIMARY KEY,
    subject       text NOT NULL,
    license_id    uuid,
    type          text NOT NULL,
    severity      text NOT NULL,
    score         double precision NOT NULL,
    status        text NOT NULL,
    first_seen    timestamptz NOT NULL,
    detected_at   timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    closed_at     timestamptz,
    reason        text NOT NULL,
    observed      text NOT NULL,
    expected      jsonb NOT NULL,
    baseline_days integer NOT NULL,
    evidence      jsonb NOT NULL,
    considered    jsonb NOT NULL,
    suggestion    text NOT NULL,
    note          text NOT NULL
);
CREATE UNIQUE INDEX anomalies_one_open ON anomalies (subject, type) WHERE closed_at IS NULL;
CREATE INDEX anomalies_license ON anomalies (license_id, detected_at) WHERE license_id IS NOT NULL;
CREATE INDEX anomalies_detected_at ON anomalies (detected_at, anomaly_id);
CREATE INDEX anomalies_subject ON anomalies (subject, last_seen);

CREATE TABLE risk_scores (
    license_id uuid NOT NULL,
    day        timestamptz NOT NULL,
    score      integer NOT NULL,
    PRIMARY KEY (license_id, day)
);
CREATE INDEX risk_scores_day ON risk_scores USING brin (day);

-- +goose Down
DROP VIEW license_days, device_days;
DROP TABLE consumer, inbox, telemetry_inbox, events, licenses, fleet, fleet_failures, license_past_days, license_failures, devices,
    device_past_days, networks, detector_states, anomalies, risk_scores;
