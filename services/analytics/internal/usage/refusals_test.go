package usage

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// hammered is a license on which another device is refused each second.
type hammered struct {
	Store
	Log
}

func (hammered) License(_ context.Context, id string) (*License, error) { return &License{ID: id}, nil }

func (hammered) Refusals(_ context.Context, _ string, _ time.Time, limit int) ([]Event, error) {
	all := make([]Event, limit)
	for i := range all {
		all[i].Observation = detect.Observation{
			At: now.Add(-time.Duration(i) * time.Second), HardwareID: fmt.Sprint("h", i),
		}
	}
	return all, nil
}

// TestRefusalsOfMany: more are read of no license, and the answer says from when on it is complete.
func TestRefusalsOfMany(t *testing.T) {
	r := &Reports{Store: hammered{}, Log: hammered{}, Clock: clock.NewFake(now)}
	got, err := r.Refusals(t.Context(), uuid.NewString(), 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	oldest := now.Add(-(refusalEvents - 1) * time.Second)
	if len(got.Devices) != 10 || got.Total != refusalEvents || !got.Since.Equal(oldest) {
		t.Errorf("%d of %d devices since %s", len(got.Devices), got.Total, got.Since)
	}
}

// TestRefusalsAreNoOlderThanWhatIsKept: the list is whole for as long only as received events are kept.
func TestRefusalsAreNoOlderThanWhatIsKept(t *testing.T) {
	const day = 24 * time.Hour
	for retention, want := range map[time.Duration]time.Time{
		0: now.AddDate(0, 0, -refusalDays), 7 * day: now.Add(-7 * day), 90 * day: now.AddDate(0, 0, -refusalDays),
	} {
		r := &Reports{Store: hammered{}, Log: unhurt{}, Clock: clock.NewFake(now), Retention: retention}
		got, err := r.Refusals(t.Context(), uuid.NewString(), 1, 10)
		if err != nil || !got.Since.Equal(want) {
			t.Errorf("kept for %v: since %v, want %v (%v)", retention, got.Since, want, err)
		}
	}
}

// unhurt is the log of a license that refused nobody.
type unhurt struct{ hammered }

func (unhurt) Refusals(context.Context, string, time.Time, int) ([]Event, error) { return nil, nil }
