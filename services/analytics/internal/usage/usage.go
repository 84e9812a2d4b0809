// Package usage holds the rules of the figures: what counts as what, how events add up to rollups, and what the
// answers say about them. Rollups merge: adding events one by one, in batches, late or out of order ends in the same
// figures. The shapes of the answers are those of the public documentation.
package usage

import (
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

const (
	codeDeviceLimit      = "DEVICE_LIMIT_EXCEEDED"
	maxVersionsPerDevice = 20
)

// Event is one event as analytics uses it: what the detectors see of it, and beside that what only the figures need.
// Parts of the license's state are those of Version.
type Event struct {
	detect.Observation
	CustomerID, Product, LicenseType string
	IsTest, IsActive                 bool
	CurrentDevices                   int
	Span
	Version int64
	// Data is the body as it is stored.
	Data []byte
}

// Counts are the figures of a span of time.
type Counts struct {
	Validations   int64 `json:"validations"`
	Failures      int64 `json:"failures"`
	Activations   int64 `json:"activations"`
	Deactivations int64 `json:"deactivations"`
	Heartbeats    int64 `json:"heartbeats"`
	// Events counts every event, also those that no other figure counts, except erasures.
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
	case eventsv1.TypeCustomerErased:
		c.Events = 0 // an erasure leaves the figures as they are
	}
	return c
}

// failureCode is the code under which the event is counted among refusals, or "". A device refused for lack of seats is
// a refusal, though not a validation.
func failureCode(e *Event) string {
	switch e.Type {
	case eventsv1.TypeLicenseValidationFailed:
		return e.ErrorCode
	case eventsv1.TypeLicenseDeviceLimitExceeded:
		return codeDeviceLimit
	}
	return ""
}

// admits says whether the event shows a device at work on its license.
func admits(e *Event) bool {
	return e.Type == eventsv1.TypeLicenseValidated || e.Type == eventsv1.TypeLicenseHeartbeat ||
		e.Type == eventsv1.TypeLicenseActivated || e.SeatedAlready()
}

// DayOf is the UTC day of t.
func DayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
