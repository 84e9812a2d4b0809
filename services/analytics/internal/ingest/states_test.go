package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// journal stands for the store: it keeps events with their positions, licenses, states and what was found.
type journal struct {
	events   []usage.Received
	states   map[string]usage.State
	rollups  usage.Rollups
	progress usage.Progress
	found    []detect.Finding
	// away makes the next call of what it names fail.
	away string
}

var errAway = errors.New("away")

func newJournal() *journal {
	return &journal{states: map[string]usage.State{}, rollups: usage.NewRollups()}
}

func (j *journal) fails(call string) error {
	if j.away == call {
		j.away = ""
		return errAway
	}
	return nil
}

func (j *journal) TakeOver(context.Context) (usage.Progress, error) { return j.progress, nil }

func (j *journal) Unsettled(context.Context, time.Time) (bool, error) { return false, nil }

func (j *journal) Describe(context.Context, time.Time, int64, []detect.Finding) error { return nil }

func (j *journal) Taken(context.Context, []usage.Event) (map[string]bool, error) { return nil, nil }

func (j *journal) Rollups(context.Context, []string, []usage.DeviceKey) (usage.Rollups, error) {
	return j.rollups, nil
}

func (j *journal) States(_ context.Context, subjects []string) (map[string]usage.State, error) {
	states := map[string]usage.State{}
	for _, subject := range subjects {
		if s, ok := j.states[subject]; ok {
			states[subject] = s
		}
	}
	return states, nil
}

func (j *journal) ReceivedAfter(
	_ context.Context, last usage.Received, licenseID string, limit int,
) ([]usage.Received, error) {
	if last.EventID != "" { // in the second half of a replay
		if err := j.fails("replay"); err != nil {
			return nil, err
		}
	}
	var page []usage.Received
	for _, e := range j.events {
		after := e.Position > last.Position || e.Position == last.Position && e.EventID > last.EventID
		if !after || licenseID != "" && e.LicenseID != licenseID || len(page) == limit {
			continue
		}
		if e.License = j.rollups.Licenses[e.LicenseID]; e.License == nil {
			e.License = &usage.License{}
		}
		e.Event = usage.Event{Observation: detect.Observation{EventID: e.EventID, Type: e.Type, At: e.At}, Data: e.Data}
		page = append(page, e)
	}
	return page, nil
}

func (*journal) Erasures(context.Context) (map[string][]usage.Erasure, error) { return nil, nil }

func (*journal) Erase(context.Context, *usage.Erasure) error { return nil }

func (j *journal) Write(_ context.Context, _ time.Time, b *usage.Batch) error {
	if err := j.fails("write"); err != nil {
		return err
	}
	for _, e := range b.Events {
		j.events = append(j.events, usage.Received{Event: e, Position: b.Position})
	}
	for subject, data := range b.States {
		j.states[subject] = usage.State{Data: data, Position: b.Position}
	}
	maps.Copy(j.rollups.Licenses, b.Changes.Licenses)
	maps.Copy(j.rollups.Devices, b.Changes.Devices)
	j.progress.Taken, j.progress.ReplayAfter = b.Position, b.ReplayAfter
	j.found = append(j.found, b.Findings...)
	return nil
}

// consumer is one on the journal that leaves so many events to be replayed.
func (j *journal) consumer(window int64) *Consumer {
	c := New(j, detect.New(), clock.NewFake(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)), slog.New(slog.DiscardHandler))
	c.bounds.window = window
	return c
}

// abuse is licenses handed through many devices, whose terms change meanwhile, and an address that guesses keys.
func abuse(r *rand.Rand, n int) []event.Event {
	events := make([]event.Event, n)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range events {
		at = at.Add(time.Duration(r.IntN(40)) * time.Minute)
		id := fmt.Sprintf("01890000-0000-7000-8000-%012d", r.IntN(3))
		e := event.Event{ID: fmt.Sprintf("02890000-0000-7000-8000-%012d", i), Time: at}
		switch r.IntN(8) {
		case 0:
			e.Type, e.Data = eventsv1.TypeLicenseValidationFailed, fmt.Appendf(nil,
				`{"ip":"203.0.113.%d","error_code":"LICENSE_NOT_FOUND","license_key_hash":"%d"}`, r.IntN(2), i)
		case 1:
			e.Type, e.Data = eventsv1.TypeLicenseUpdated, fmt.Appendf(nil,
				`{"license_id":%q,"max_devices":%d,"is_test":%t,"version":%d,"license":{}}`,
				id, 1+r.IntN(3), r.IntN(2) == 0, i+1)
		case 2:
			e.Type, e.Data = eventsv1.TypeDeviceDeactivated, fmt.Appendf(nil, `{"license_id":%q,"hardware_id":"d%d"}`,
				id, r.IntN(40))
		default:
			e.Type, e.Data = eventsv1.TypeLicenseActivated, fmt.Appendf(nil,
				`{"license_id":%q,"hardware_id":"d%d","ip":"203.0.%d.1","version":%d}`, id, r.IntN(40), r.IntN(5), i+1)
		}
		events[i] = e
	}
	return events
}

// TestMemoryIsExact demands that restarts, batches that fail, states written late and little memory change nothing of
// what is found.
func TestMemoryIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for round := range 20 {
		events := abuse(r, 600)
		plain, rough := newJournal(), newJournal()
		always, c := plain.consumer(0), rough.consumer(60)
		restarts := 0
		for len(events) > 0 {
			batch := events[:min(len(events), 1+r.IntN(9))]
			events = events[len(batch):]
			if err := always.Handle(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			if r.IntN(6) == 0 {
				if rough.away = "write"; !errors.Is(c.Handle(t.Context(), batch), errAway) {
					t.Fatal("a batch that could not be written was acknowledged")
				}
			}
			if r.IntN(10) == 0 {
				c = rough.consumer(60)
				c.bounds.stateBytes = int64(r.IntN(2)) << 20
				restarts++
			}
			if err := c.Handle(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			if r.IntN(12) == 0 {
				c.clock.(*clock.Fake).Advance(c.bounds.age)
				if err := c.WriteStates(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(plain.found) == 0 || restarts == 0 {
			t.Fatalf("round %d: %d findings, %d restarts", round, len(plain.found), restarts)
		}
		if diff := gocmp.Diff(plain.found, rough.found); diff != "" {
			t.Fatalf("round %d: other findings (-plain +rough):\n%s", round, diff)
		}
		if behind := rough.progress.Taken - rough.progress.ReplayAfter; behind > 60+9 {
			t.Errorf("round %d: %d events would have to be replayed", round, behind)
		}
		for subject, s := range plain.states {
			got := rough.states[subject].Data
			if held := c.memory.states.states[subject]; held != nil {
				got, _ = held.encode()
			}
			if !bytes.Equal(s.Data, got) {
				t.Errorf("round %d: the state of %s differs", round, subject)
			}
		}
	}
}

// TestReplayThatFailsIsRepeated demands that half a replay is not taken for a whole one.
func TestReplayThatFailsIsRepeated(t *testing.T) {
	events := abuse(rand.New(rand.NewPCG(1, 1)), replayPortion+100)
	plain, broken := newJournal(), newJournal()
	first, second := plain.consumer(10_000), broken.consumer(10_000)
	for i, batch := range [][]event.Event{events[:replayPortion+50], events[replayPortion+50:]} {
		if i == 1 {
			second, broken.away = broken.consumer(10_000), "replay"
			if err := second.Handle(t.Context(), batch); !errors.Is(err, errAway) {
				t.Fatalf("handle: %v", err)
			}
		}
		for _, c := range []*Consumer{first, second} {
			if err := c.Handle(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	for subject, s := range first.memory.states.states {
		want, _ := s.encode()
		if got, _ := second.memory.states.states[subject].encode(); !bytes.Equal(want, got) {
			t.Errorf("the state of %s differs", subject)
		}
	}
}

// TestOtherVersionsAreMadeAgain lets a consumer find states of which one detector's part is of another version, or
// nothing can be read: it goes on as if they were as it writes them.
func TestOtherVersionsAreMadeAgain(t *testing.T) {
	events := abuse(rand.New(rand.NewPCG(5, 5)), 500)
	plain, changed := newJournal(), newJournal()
	for i, batch := range [][]event.Event{events[:300], events[300:]} {
		for _, j := range []*journal{plain, changed} {
			if err := j.consumer(0).Handle(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		for subject, s := range changed.states {
			switch {
			case i > 0 || !strings.HasPrefix(subject, licensePrefix):
			case strings.HasSuffix(subject, "1"):
				changed.states[subject] = usage.State{Data: []byte("damaged"), Position: s.Position}
			default:
				older := bytes.Replace(s.Data, []byte("device_churn\x01"), []byte("device_churn\x00"), 1)
				if bytes.Equal(older, s.Data) {
					t.Fatal("the state holds no part of device_churn, version 1")
				}
				changed.states[subject] = usage.State{Data: older, Position: s.Position}
			}
		}
	}
	if diff := gocmp.Diff(plain.found, changed.found); diff != "" || len(plain.found) == 0 {
		t.Errorf("%d findings (-plain +changed):\n%s", len(plain.found), diff)
	}
	for subject, s := range plain.states {
		if !bytes.Equal(s.Data, changed.states[subject].Data) {
			t.Errorf("the state of %s differs", subject)
		}
	}
}

// TestStatesAreBoundedByBytes fills the cache with licenses of many devices: it keeps what fits, whatever their number.
func TestStatesAreBoundedByBytes(t *testing.T) {
	j := newJournal()
	c := j.consumer(0)
	c.bounds.stateBytes = 100_000
	events := abuse(rand.New(rand.NewPCG(3, 3)), 3000)
	for i := range events {
		events[i].Data = bytes.Replace(events[i].Data, []byte("01890000-0000-7000-8000-0000000000"),
			fmt.Appendf(nil, "01890000-0000-7000-8000-00000000%02d", i%100), 1)
	}
	for len(events) > 0 {
		if err := c.Handle(t.Context(), events[:100]); err != nil {
			t.Fatal(err)
		}
		held, sum := c.memory.states, int64(0)
		for _, s := range held.states {
			sum += s.bytes
		}
		if sum != held.bytes || sum > c.bounds.stateBytes {
			t.Fatalf("%d states of %d bytes are held, %d were counted; the bound is %d",
				len(held.states), sum, held.bytes, c.bounds.stateBytes)
		}
		events = events[100:]
	}
	if kept, known := len(c.memory.states.states), len(j.states); kept == 0 || kept >= known {
		t.Errorf("%d of %d states are held", kept, known)
	}
}
