// Package usage holds the rules of the figures: what counts as what, how events add up to rollups, and what the answers say
// about them. Rollups merge: adding events one by one, in batches, late or out of order ends in the same figures. The
// shapes of the answers are those of the public documentation.
package usage

import (
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const (
	codeDeviceLimit      = "DEVICE_LIMIT_EXCEEDED"
	maxVersionsPerDevice = 20
)

// Event is one event as analytics uses it. Data is its body as received.
type Event struct {
	ID   string
	Type string
	At   time.Time
	Body Body
	Data []byte
}

// Body is the members that analytics uses of all the event messages taken together; each event has some of them.
type Body struct {
	LicenseID      string     `json:"license_id"`
	HardwareID     string     `json:"hardware_id"`
	FromHardwareID string     `json:"from_hardware_id"`
	ToHardwareID   string     `json:"to_hardware_id"`
	DeviceName     string     `json:"device_name"`
	OS             string     `json:"os"`
	AppVersion     string     `json:"app_version"`
	SessionID      string     `json:"session_id"`
	IP             string     `json:"ip"`
	ViaProxy       bool       `json:"via_proxy"`
	Country        string     `json:"country"`
	Lat            float64    `json:"lat"`
	Lon            float64    `json:"lon"`
	ASN            uint32     `json:"asn"`
	NetKind        string     `json:"net_kind"`
	ClientTime     *time.Time `json:"client_time"`
	ErrorCode      string     `json:"error_code"`
	Reason         string     `json:"reason"`
	By             string     `json:"by"`
	KeyHash        string     `json:"license_key_hash"`
	CustomerID     string     `json:"customer_id"`
	Product        string     `json:"product"`
	LicenseType    string     `json:"license_type"`
	IsTest         bool       `json:"is_test"`
	IsActive       bool       `json:"is_active"`
	MaxDevices     int        `json:"max_devices"`
	CurrentDevices int        `json:"current_devices"`
	CreatedAt      *time.Time `json:"created_at"`
	ExpiresAt      *time.Time `json:"expires_at"`
	Version        int64      `json:"version"`
	Returning      bool       `json:"returning"`
}

// Counts are the figures of a span of time.
type Counts struct {
	Validations   int64 `json:"validations"`
	Failures      int64 `json:"failures"`
	Activations   int64 `json:"activations"`
	Deactivations int64 `json:"deactivations"`
	Heartbeats    int64 `json:"heartbeats"`
	// Events counts every event, also those that no other figure counts.
	Events int64 `json:"events"`
}

// Add adds o.
func (c *Counts) Add(o Counts) {
	c.Validations += o.Validations
	c.Failures += o.Failures
	c.Activations += o.Activations
	c.Deactivations += o.Deactivations
	c.Heartbeats += o.Heartbeats
	c.Events += o.Events
}

// countsOf is what one event of the type counts as.
func countsOf(eventType string) Counts {
	c := Counts{Events: 1}
	switch eventType {
	case eventsv1.TypeLicenseValidated:
		c.Validations = 1
	case eventsv1.TypeLicenseValidationFailed:
		c.Failures = 1
	case eventsv1.TypeLicenseActivated:
		c.Activations = 1
	case eventsv1.TypeDeviceDeactivated:
		c.Deactivations = 1
	case eventsv1.TypeLicenseHeartbeat:
		c.Heartbeats = 1
	}
	return c
}

// failureCode is the code under which the event is counted among refusals, or "". A device refused for lack of seats is
// a refusal, though not a validation.
func failureCode(e *Event) string {
	switch e.Type {
	case eventsv1.TypeLicenseValidationFailed:
		return e.Body.ErrorCode
	case eventsv1.TypeLicenseDeviceLimitExceeded:
		return codeDeviceLimit
	}
	return ""
}

// admits says whether the event shows a device at work on its license.
func admits(eventType string) bool {
	return eventType == eventsv1.TypeLicenseValidated || eventType == eventsv1.TypeLicenseHeartbeat ||
		eventType == eventsv1.TypeLicenseActivated
}

// DayOf is the UTC day of t.
func DayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier returns the earlier of both; a zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
