package wire

import (
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
)

// Counter is what a counter shows.
type Counter struct {
	Counter     string     `json:"counter"`
	Used        int64      `json:"used"`
	Limit       *int64     `json:"limit"`
	Remaining   *int64     `json:"remaining"`
	OverageUsed int64      `json:"overage_used"`
	PeriodStart *time.Time `json:"period_start"`
	ResetsAt    *time.Time `json:"resets_at"`
	// DeviceUsed is the part of the device that asks, where parts are counted.
	DeviceUsed *int64 `json:"device_used,omitempty"`
}

// NewCounter shows a counter.
func NewCounter(s *counter.State) Counter { return Counter(*s) }

// NewCounters shows counters by their names.
func NewCounters(states []counter.State) map[string]Counter {
	all := make(map[string]Counter, len(states))
	for i := range states {
		all[states[i].Counter] = NewCounter(&states[i])
	}
	return all
}
