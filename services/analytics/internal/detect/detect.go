// Package detect finds signs of license abuse. It is a pure function: (state, observation) -> (state, findings). It
// does no I/O, reads no clock, draws no random number and iterates no map, so the live consumer, the detect endpoint
// and a replay share it, and the same input gives the same findings byte for byte, also when the state is saved and
// restored in the middle.
//
// # Time and order
//
// The clock is event time: the latest At that a state has seen; who calls sees to it that none lies far ahead of now.
// There is no reorder buffer, and none is needed: an observation that arrives late, be it by two minutes of reordering
// or by the hours of a broker outage, is counted in the window in which it happened, while rules that read the order of
// events (who moved between networks, who woke a silent license) skip whatever is older than the clock. So disorder can
// delay a finding, never invent one, there is nothing to flush, and a restart loses nothing. The caller drops repeated
// event ids before calling.
//
// # Findings
//
// A state holds at most one open finding per kind. Further evidence re-emits it with the same Key and StatusUpdated,
// when its severity rises, its score moves by 0.05, or an hour has passed; in between, the state's Grown says what its
// figures have become. After 24 h without evidence (CloseAfter) the state forgets it; the engine sends no closing
// message, because a license that fell silent sends no event that could carry one: anyone who stores findings closes
// those whose LastSeen is older than CloseAfter.
package detect

import "time"

// Error codes that rules read, spelled as on the wire.
const (
	codeDeviceLimitExceeded = "DEVICE_LIMIT_EXCEEDED"
	codeLeaseLimitExceeded  = "LEASE_LIMIT_EXCEEDED"
	codeLicenseNotFound     = "LICENSE_NOT_FOUND"
	codeAlreadyActivated    = "ALREADY_ACTIVATED"
)

// Observation is one event as the detectors see it. Any member but Type and At may be empty.
type Observation struct {
	// EventID names the event in evidence. An id longer than 64 bytes is left out of evidence.
	EventID string
	// Type is the event type of the bus; those that no rule reads are ignored.
	Type string
	// At is when it happened, from the event's envelope; it moves the clock.
	At time.Time
	// LicenseID is empty for an unknown key.
	LicenseID  string
	HardwareID string
	DeviceName string
	OS         string
	AppVersion string
	SessionID  string
	// IP is the client's address in text; one that does not parse counts as absent.
	IP string
	// ViaProxy says that IP may be the address of a proxy that stands for many clients: it tells no place, and for
	// guesses of keys little.
	ViaProxy  bool
	ErrorCode string
	Reason    string
	// KeyHash is the keyed hash of a key that was typed: equal guesses are equal, the key stays unknown.
	KeyHash    string
	ClientTime time.Time
	// FromHardwareID and ToHardwareID name the devices of a transfer.
	FromHardwareID string
	ToHardwareID   string
	// MaxDevices is the limit when the event says it, else 0. The limit last told holds for what follows;
	// License.MaxDevices until one was told.
	MaxDevices int
	// Snapshot says that the event carries the whole state of the license: Slots is told by such events alone.
	Snapshot bool
	// Slots is how many devices may run by a lease without having a seat.
	Slots int
	// By is "client" or "admin" on a deactivation.
	By string
	// OfflineUntil is when an issued offline token ends.
	OfflineUntil time.Time
	// Country (ISO 3166 alpha-2), Lat and Lon (degrees), ASN and NetKind come from a geo database where there is one.
	// Lat and Lon both 0 mean unknown.
	Country  string
	Lat, Lon float64
	ASN      uint32
	// NetKind is "isp", "mobile", "business", "hosting", "vpn" or empty.
	NetKind string
}

// License is what the detectors need to know of the license at the time of the observation.
type License struct {
	ID         string
	CustomerID string
	MaxDevices int
	// Slots is like Observation.Slots: in force until an event has told it.
	Slots     int
	CreatedAt time.Time
	// ExpiresAt is zero for a perpetual license.
	ExpiresAt time.Time
	// IsTest marks licenses for trying things out: their findings are low.
	IsTest bool
	Plan   string
}

// Kind names a sort of abuse: the anomaly's type on the wire.
type Kind string

// Severity says how urgent a finding is.
type Severity string

// Severities in rising order.
const (
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

// Statuses of a finding.
const (
	StatusNew     = "new"
	StatusUpdated = "updated"
	// StatusGrown is that of a finding which says no more than its figures, and can wait.
	StatusGrown = "grown"
)

// Finding is one anomaly, new or updated, with what is needed to judge it.
type Finding struct {
	// Key is Type and FirstSeen, stable over updates; unique within a subject.
	Key string
	// Status is StatusNew, StatusUpdated or StatusGrown.
	Status string
	Type   Kind
	// Subject is "license:<id>", "ip:<address>" or, through a proxy that nobody named, "ip:proxy <address>"; an IPv6
	// address is given as its /64 block.
	Subject string
	// LicenseID is empty where the subject is an address.
	LicenseID string
	Severity  Severity
	// Score is from 0 to 1: how sure and how strong.
	Score float64
	// FirstSeen is the time of the first evidence, DetectedAt that of the event that first raised the finding,
	// LastSeen that of the latest evidence.
	FirstSeen, DetectedAt, LastSeen time.Time
	// Reason is a sentence for people.
	Reason string
	// Observed is number and unit in text, for example "9 devices in 7 days".
	Observed     string
	Expected     Expected
	BaselineDays int
	// Evidence holds the first and the latest events, oldest first, at most 5.
	Evidence []Evidence
	// Considered names the honest explanations that were weighed and why they did not hold.
	Considered []string
	// Suggestion says what the vendor could do.
	Suggestion string
}

// Expected is what would have been normal, in the unit of Finding.Observed.
type Expected struct {
	Value, Low, High float64
}

// Evidence points at one event behind a finding.
type Evidence struct {
	EventID    string
	OccurredAt time.Time
	// What says in a few words what the event showed.
	What string
}
