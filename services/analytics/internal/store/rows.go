package store

import (
	"github.com/latchkey-dev/latchkey/pkg/db"
)

var fleetTable = table{"fleet", []column{
	{"step", "text", key}, {"starts_at", "timestamptz", key}, {"validations", "bigint", add}, {"failures", "bigint", add},
	{"activations", "bigint", add}, {"deactivations", "bigint", add}, {"heartbeats", "bigint", add}, {"events", "bigint", add},
}}

type fleetRow struct {
	Step          string `json:"step"`
	StartsAt      stamp  `json:"starts_at"`
	Validations   int64  `json:"validations"`
	Failures      int64  `json:"failures"`
	Activations   int64  `json:"activations"`
	Deactivations int64  `json:"deactivations"`
	Heartbeats    int64  `json:"heartbeats"`
	Events        int64  `json:"events"`
}

var fleetFailureTable = table{"fleet_failures", []column{
	{"starts_at", "timestamptz", key}, {"error_code", "text", key}, {"failures", "bigint", add},
}}

type fleetFailureRow struct {
	StartsAt  stamp  `json:"starts_at"`
	ErrorCode string `json:"error_code"`
	Failures  int64  `json:"failures"`
}

var (
	inboxTable          = table{"inbox", []column{{"event_id", "uuid", key}, {"expires_at", "timestamptz", replace}}}
	telemetryInboxTable = table{"telemetry_inbox", inboxTable.columns}
)

type inboxKey struct {
	EventID string `json:"event_id"`
}

type inboxRow struct {
	EventID   string `json:"event_id"`
	ExpiresAt stamp  `json:"expires_at"`
}

var eventTable = table{"events", []column{
	{"event_id", "uuid", replace}, {"type", "text", replace}, {"occurred_at", "timestamptz", replace}, {"license_id", "uuid", replace},
	{"position", "bigint", replace}, {"data", "json", replace},
}}

type eventRow struct {
	EventID    string  `json:"event_id"`
	Type       string  `json:"type"`
	OccurredAt stamp   `json:"occurred_at"`
	LicenseID  *string `json:"license_id"`
	Position   int64   `json:"position"`
	Data       db.JSON `json:"data"`
}

var stateTable = table{"detector_states", []column{
	{"subject", "text", key}, {"position", "bigint", replace}, {"state", "bytea", replace}, {"updated_at", "timestamptz", replace},
}}

type stateKey struct {
	Subject string `json:"subject"`
}

type stateRow struct {
	Subject   string `json:"subject"`
	Position  int64  `json:"position"`
	State     blob   `json:"state"`
	UpdatedAt stamp  `json:"updated_at"`
}
