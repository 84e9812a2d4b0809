package ingest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// journal stands for the store: it keeps events with their positions, states and what was found.
type journal struct {
	events      []usage.Replayed
	states      map[string]usage.State
	licenses    map[string]*usage.License
	replayAfter int64
	found       []detect.Finding
}

func newJournal() *journal {
	return &journal{states: map[string]usage.State{}, licenses: map[string]*usage.License{}}
}

// take judges the events, and commits unless it is to fail.
func (j *journal) take(m *memory, events []usage.Event, fail bool) error {
	b := &usage.Batch{Events: events, Licenses: usage.Fold(events).Licenses, Position: int64(len(j.events) + len(events)), States: j.read, Replay: j.replay}
	for id, l := range b.Licenses {
		if old := j.licenses[id]; old != nil {
			l.Merge(old)
		}
	}
	v, err := m.judge(b)
	if err != nil || fail {
		return err
	}
	for _, e := range events {
		j.events = append(j.events, usage.Replayed{Event: usage.Event{ID: e.ID, Type: e.Type, At: e.At, Data: e.Data}, Position: b.Position})
	}
	for subject, data := range v.States {
		j.states[subject] = usage.State{Data: data, Position: b.Position}
	}
	maps.Copy(j.licenses, b.Licenses)
	j.replayAfter, j.found = v.ReplayAfter, append(j.found, v.Findings...)
	m.keep()
	return nil
}

func (j *journal) read(subjects []string) (map[string]usage.State, error) {
	states := map[string]usage.State{}
	for _, subject := range subjects {
		if s, ok := j.states[subject]; ok {
			states[subject] = s
		}
	}
	return states, nil
}

func (j *journal) replay(each func(*usage.Replayed) error) error {
	for _, e := range j.events {
		if e.Position <= j.replayAfter {
			continue
		}
		if err := readBody(&e.Event); err != nil {
			return err
		}
		if e.License = j.licenses[e.Body.LicenseID]; e.License == nil {
			e.License = &usage.License{}
		}
		e.Body = usage.Body{}
		if err := each(&e); err != nil {
			return err
		}
	}
	return nil
}

// abuse is licenses handed through many devices, whose terms change meanwhile, and an address that guesses keys.
func abuse(r *rand.Rand, n int) []usage.Event {
	events := make([]usage.Event, n)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range events {
		at = at.Add(time.Duration(r.IntN(40)) * time.Minute)
		id := fmt.Sprintf("01890000-0000-7000-8000-%012d", r.IntN(3))
		e := usage.Event{ID: fmt.Sprintf("02890000-0000-7000-8000-%012d", i), At: at}
		switch r.IntN(8) {
		case 0:
			e.Type, e.Data = eventsv1.TypeLicenseValidationFailed, fmt.Appendf(nil, `{"ip":"203.0.113.%d","error_code":"LICENSE_NOT_FOUND","license_key_hash":"%d"}`, r.IntN(2), i)
		case 1:
			e.Type, e.Data = eventsv1.TypeLicenseUpdated, fmt.Appendf(nil, `{"license_id":%q,"max_devices":%d,"is_test":%t,"version":%d}`, id, 1+r.IntN(3), r.IntN(2) == 0, i+1)
		case 2:
			e.Type, e.Data = eventsv1.TypeDeviceDeactivated, fmt.Appendf(nil, `{"license_id":%q,"hardware_id":"d%d"}`, id, r.IntN(40))
		default:
			e.Type, e.Data = eventsv1.TypeLicenseActivated, fmt.Appendf(nil, `{"license_id":%q,"hardware_id":"d%d","ip":"203.0.%d.1","version":%d}`, id, r.IntN(40), r.IntN(5), i+1)
		}
		if err := readBody(&e); err != nil {
			panic(err)
		}
		events[i] = e
	}
	return events
}

// TestMemoryIsExact demands that restarts, batches that fail, and states written late change nothing of what is found.
func TestMemoryIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	engine := detect.New(detect.DefaultSettings())
	for round := range 20 {
		events := abuse(r, 600)
		plain, rough := newJournal(), newJournal()
		always := newMemory(engine, slog.New(slog.DiscardHandler))
		always.window = 0
		m := newMemory(engine, slog.New(slog.DiscardHandler))
		m.window = 60
		restarts := 0
		for len(events) > 0 {
			batch := events[:min(len(events), 1+r.IntN(9))]
			events = events[len(batch):]
			if err := plain.take(always, batch, false); err != nil {
				t.Fatal(err)
			}
			if r.IntN(6) == 0 {
				if err := rough.take(m, batch, true); err != nil {
					t.Fatal(err)
				}
			}
			if r.IntN(10) == 0 {
				m = newMemory(engine, slog.New(slog.DiscardHandler))
				m.window = 60
				restarts++
			}
			if err := rough.take(m, batch, false); err != nil {
				t.Fatal(err)
			}
		}
		if len(plain.found) == 0 || restarts == 0 {
			t.Fatalf("round %d: %d findings, %d restarts", round, len(plain.found), restarts)
		}
		if diff := gocmp.Diff(plain.found, rough.found); diff != "" {
			t.Fatalf("round %d: other findings (-plain +rough):\n%s", round, diff)
		}
		if behind := int64(len(rough.events)) - rough.replayAfter; behind > 60+9 {
			t.Errorf("round %d: %d events would have to be replayed", round, behind)
		}
		for subject, s := range plain.states {
			got := rough.states[subject].Data
			if held := m.states[subject]; held != nil {
				got, _ = held.encode()
			}
			if !bytes.Equal(s.Data, got) {
				t.Errorf("round %d: the state of %s differs", round, subject)
			}
		}
	}
}

var errAway = errors.New("away")

// TestReplayThatFailsIsRepeated demands that half a replay is not taken for a whole one.
func TestReplayThatFailsIsRepeated(t *testing.T) {
	engine, j := detect.New(detect.DefaultSettings()), newJournal()
	events := abuse(rand.New(rand.NewPCG(1, 1)), 100)
	first := newMemory(engine, slog.New(slog.DiscardHandler))
	if err := j.take(first, events[:90], false); err != nil {
		t.Fatal(err)
	}
	second := newMemory(engine, slog.New(slog.DiscardHandler))
	broken := &usage.Batch{Events: events[90:], Licenses: usage.Fold(events[90:]).Licenses, Position: 100, States: j.read,
		Replay: func(each func(*usage.Replayed) error) error { return cmp.Or(j.replay(each), errAway) }}
	if _, err := second.judge(broken); !errors.Is(err, errAway) {
		t.Fatalf("judge: %v", err)
	}
	for _, m := range []*memory{first, second} {
		if err := (&journal{events: slices.Clone(j.events), states: maps.Clone(j.states), licenses: maps.Clone(j.licenses), replayAfter: j.replayAfter}).take(m, events[90:], false); err != nil {
			t.Fatal(err)
		}
	}
	for subject, s := range first.states {
		want, _ := s.encode()
		got, _ := second.states[subject].encode()
		if !bytes.Equal(want, got) {
			t.Errorf("the state of %s differs", subject)
		}
	}
}
