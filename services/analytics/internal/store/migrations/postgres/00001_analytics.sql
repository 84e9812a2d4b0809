-- +goose Up
CREATE TABLE consumer (
    name           text PRIMARY KEY,
    epoch          bigint NOT NULL,
    lag_ms         bigint,
    first_event_at timestamptz,
    last_event_at  timestamptz
);

-- What was taken already. Telemetry is forgotten sooner than what can be published again.
CREATE TABLE inbox (
    event_id   uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX inbox_expires_at ON inbox (expires_at);

-- The event log: appended in about the order of time, read by license, pruned by time.
CREATE TABLE events (
    event_id    uuid NOT NULL,
    type        text NOT NULL,
    occurred_at timestamptz NOT NULL,
    license_id  uuid,
    data        jsonb NOT NULL
);
CREATE INDEX events_occurred_at ON events USING brin (occurred_at);
CREATE INDEX events_license ON events (license_id, occurred_at) WHERE license_id IS NOT NULL;

-- Rows that every batch touches have no index over what changes with each use, so that PostgreSQL updates them in place. Half of
-- the pages of licenses and networks stays free for that: a batch may touch every row of a page at once.
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
    risk_score        integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE INDEX licenses_customer ON licenses (customer_id, license_id);
CREATE INDEX licenses_expires_at ON licenses (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX licenses_risk ON licenses (risk_score DESC, license_id) WHERE risk_score > 0;
CREATE INDEX licenses_over_limit ON licenses (license_id) WHERE current_devices > max_devices;

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

CREATE TABLE license_days (
    license_id    uuid NOT NULL,
    day           timestamptz NOT NULL,
    validations   bigint NOT NULL,
    failures      bigint NOT NULL,
    activations   bigint NOT NULL,
    deactivations bigint NOT NULL,
    heartbeats    bigint NOT NULL,
    events        bigint NOT NULL,
    hours         jsonb NOT NULL,
    PRIMARY KEY (license_id, day)
) WITH (fillfactor = 80);
CREATE INDEX license_days_day ON license_days USING brin (day);

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
    PRIMARY KEY (license_id, hardware_id)
) WITH (fillfactor = 80);

CREATE TABLE device_days (
    license_id  uuid NOT NULL,
    day         timestamptz NOT NULL,
    hardware_id text NOT NULL,
    hours       bigint NOT NULL,
    uses        bigint NOT NULL,
    PRIMARY KEY (license_id, day, hardware_id)
) WITH (fillfactor = 80);

CREATE TABLE networks (
    license_id uuid NOT NULL,
    network    text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    uses       bigint NOT NULL,
    PRIMARY KEY (license_id, network)
) WITH (fillfactor = 50);

-- What the detectors remember of a license ("license:<id>") or an address ("ip:<address>").
CREATE TABLE detector_states (
    subject    text PRIMARY KEY,
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
DROP TABLE consumer, inbox, events, licenses, fleet, fleet_failures, license_days, license_failures, devices, device_days,
    networks, detector_states, anomalies, risk_scores;
