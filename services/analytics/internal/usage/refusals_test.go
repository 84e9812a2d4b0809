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
