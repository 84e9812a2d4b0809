package usage

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// heartbeats is what Detect needs of one license with a heartbeat every ten seconds.
type heartbeats struct {
	Store
	Log
}

const beat = 10 * time.Second

func (heartbeats) License(_ context.Context, id string) (*License, error) {
	return &License{ID: id}, nil
}

func (heartbeats) NewestFrom(_ context.Context, _ string, from, to time.Time, n int) (time.Time, error) {
	if begin := to.Add(-time.Duration(n-1) * beat); begin.After(from) {
		return begin, nil
	}
	return from, nil
}

func (heartbeats) SnapshotAt(context.Context, string, time.Time) (*Event, error) { return nil, nil }

func (heartbeats) Events(_ context.Context, id string, from, to time.Time, each func(*Event) error) error {
	for at := from; !at.After(to); at = at.Add(beat) {
		o := detect.Observation{Type: eventsv1.TypeLicenseHeartbeat, At: at, LicenseID: id, HardwareID: "a"}
		if err := each(&Event{Observation: o}); err != nil {
			return err
		}
	}
	return nil
}

func (heartbeats) Record(context.Context, []detect.Finding, time.Time) (int, error) { return 0, nil }

func (heartbeats) Anomalies(context.Context, AnomalyQuery) ([]Anomaly, error) { return nil, nil }

// TestDetectionReadsTheNewestEvents: a license with more events in 30 days than are checked is checked nevertheless, as
// far back as that goes; who names a span that holds too many is told so.
func TestDetectionReadsTheNewestEvents(t *testing.T) {
	a := &Anomalies{Store: heartbeats{}, Log: heartbeats{}, Engine: detect.New(), Clock: clock.NewFake(now)}
	id := "01890000-0000-7000-8000-000000000001"
	d, err := a.Detect(t.Context(), id, Detection{})
	if err != nil {
		t.Fatal(err)
	}
	if c := d.Checked; c.Events != maxChecked || !c.Truncated || !c.From.Equal(now.Add(-(maxChecked-1)*beat)) {
		t.Errorf("checked: %+v", c)
	}
	if d.Window.From != d.Checked.From {
		t.Errorf("the window begins at %v, what was checked at %v", d.Window.From, d.Checked.From)
	}
	d, err = a.Detect(t.Context(), id, Detection{To: now.AddDate(0, 0, -1), From: now.AddDate(0, 0, -2)})
	if err != nil || d.Checked.Truncated || !d.Checked.From.Equal(now.AddDate(0, 0, -2)) {
		t.Errorf("a span of one's own: %+v, %v", d, err)
	}
	_, err = a.Detect(t.Context(), id, Detection{From: now.AddDate(0, 0, -30)})
	if err == nil {
		t.Fatal("a span that holds too many is checked")
	}
	if got := fmt.Sprint(apierr.From(err).Details); !strings.Contains(got, "from:the span holds more than") {
		t.Errorf("a span that holds too many: %v %s", err, got)
	}
}
