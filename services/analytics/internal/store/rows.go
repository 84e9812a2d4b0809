package store

import (
	"github.com/latchkey-dev/latchkey/pkg/db"
)

var fleetTable = tableOf[fleetRow]("fleet")

type fleetRow struct {
	Step          string `col:"step,text,key"`
	StartsAt      stamp  `col:"starts_at,timestamptz,key"`
	Validations   int64  `col:"validations,bigint,add"`
	Failures      int64  `col:"failures,bigint,add"`
	Activations   int64  `col:"activations,bigint,add"`
	Deactivations int64  `col:"deactivations,bigint,add"`
	Heartbeats    int64  `col:"heartbeats,bigint,add"`
	Events        int64  `col:"events,bigint,add"`
}

var fleetFailureTable = tableOf[fleetFailureRow]("fleet_failures")

type fleetFailureRow struct {
	StartsAt  stamp  `col:"starts_at,timestamptz,key"`
	ErrorCode string `col:"error_code,text,key"`
	Failures  int64  `col:"failures,bigint,add"`
}

var (
	inboxTable          = tableOf[inboxRow]("inbox")
	telemetryInboxTable = tableOf[inboxRow]("telemetry_inbox")
)

type inboxKey struct {
	EventID string
}

type inboxRow struct {
	EventID   string `col:"event_id,uuid,key"`
	ExpiresAt stamp  `col:"expires_at,timestamptz"`
}

var eventTable = tableOf[eventRow]("events")

type eventRow struct {
	EventID    string  `col:"event_id,uuid"`
	Type       string  `col:"type,text"`
	OccurredAt stamp   `col:"occurred_at,timestamptz"`
	LicenseID  *string `col:"license_id,uuid"`
	Position   int64   `col:"position,bigint"`
	Data       db.JSON `col:"data,json"`
}

var stateTable = tableOf[stateRow]("detector_states")

type stateKey struct {
	Subject string
}

type stateRow struct {
	Subject   string `col:"subject,text,key"`
	Position  int64  `col:"position,bigint"`
	State     blob   `col:"state,bytea"`
	UpdatedAt stamp  `col:"updated_at,timestamptz"`
}
