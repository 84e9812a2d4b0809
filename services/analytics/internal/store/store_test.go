package store_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

var now = time.Date(2026, 3, 18, 12, 0, 0, 123456000, time.UTC)

// odd is text that breaks whatever puts statements together by hand.
const odd = "o'Neil \"x\" \\u0041 \\ ? $1 @name ; -- äß 漢字 😀 \t"

func id(n int) string { return fmt.Sprintf("01890000-0000-7000-8000-%012d", n) }

func each(t *testing.T, test func(t *testing.T, c *consumer)) {
	testkit.EachEngine(t, []db.Migrations{store.Migrations, outbox.Migrations}, func(t *testing.T, d *db.DB) {
		c := &consumer{Store: store.New(d, outbox.New(d, "latchkey/analytics")), t: t}
		c.takeOver()
		test(t, c)
	})
}

// consumer is a store and what its one consumer knows.
type consumer struct {
	*store.Store
	t        *testing.T
	progress usage.Progress
}

func (c *consumer) takeOver() {
	c.t.Helper()
	var err error
	if c.progress, err = c.TakeOver(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// batch is the events, which are in order, with their changes complete.
func (c *consumer) batch(events ...usage.Event) *usage.Batch {
	c.t.Helper()
	b := &usage.Batch{
		Epoch:    c.progress.Epoch,
		Events:   events,
		Position: c.progress.Taken + int64(len(events)),
		Changes:  usage.Fold(events),
	}
	b.ReplayAfter = b.Position
	var err error
	b.Before, err = c.Rollups(c.t.Context(), slices.Collect(maps.Keys(b.Changes.Licenses)),
		slices.Collect(maps.Keys(b.Changes.Devices)))
	if err != nil {
		c.t.Fatal(err)
	}
	b.Changes.Complete(b.Before)
	return b
}

func (c *consumer) commit(events ...usage.Event) {
	c.t.Helper()
	b := c.batch(events...)
	if err := c.Write(c.t.Context(), now, b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
	c.progress.Taken = b.Position
}

func use(n int, at time.Time, o detect.Observation) usage.Event {
	if o.LicenseID == "" {
		o.LicenseID = id(1)
	}
	o.EventID, o.Type, o.At = fmt.Sprintf("02890000-0000-7000-8000-%012d", n), eventsv1.TypeLicenseValidated, at
	return usage.Event{Observation: o, Data: []byte(`{"license_id":"` + o.LicenseID + `"}`)}
}

func TestTextSurvives(t *testing.T) {
	each(t, func(t *testing.T, s *consumer) {
		s.commit(use(1, now, detect.Observation{HardwareID: odd, DeviceName: odd, OS: odd, AppVersion: odd}))
		l, err := s.License(t.Context(), id(1))
		if err != nil {
			t.Fatal(err)
		}
		h, err := s.History(t.Context(), l, usage.LastDays(now, 1))
		if err != nil {
			t.Fatal(err)
		}
		want := []usage.Device{{DeviceKey: usage.DeviceKey{LicenseID: id(1), HardwareID: odd},
			Name: usage.Latest{Value: odd, At: now}, OS: usage.Latest{Value: odd, At: now},
			Version:   usage.Latest{Value: odd, At: now},
			FirstSeen: now, LastSeen: now, Versions: []usage.AppVersion{{Version: odd, LastSeen: now}}}}
		if diff := cmp.Diff(want, h.Devices); diff != "" {
			t.Errorf("device (-want +got):\n%s", diff)
		}
	})
}

func TestLicenseSurvives(t *testing.T) {
	each(t, func(t *testing.T, s *consumer) {
		end := now.AddDate(1, 0, 0)
		e := use(1, now, detect.Observation{MaxDevices: 1_000_000})
		e.Type, e.CustomerID, e.Product, e.LicenseType, e.IsTest, e.IsActive =
			eventsv1.TypeLicenseCreated, odd, "p", "floating", true, true
		e.ExpiresAt, e.Version = end, 7
		s.commit(e)
		got, err := s.License(t.Context(), id(1))
		if err != nil {
			t.Fatal(err)
		}
		want := &usage.License{ID: id(1), CreatedAt: now, FirstEventAt: now,
			Identity: usage.Versioned[usage.Identity]{
				Value:   usage.Identity{CustomerID: odd, Product: "p", Type: "floating", IsTest: true},
				Version: 7,
			},
			MaxDevices: usage.Versioned[int]{Value: 1_000_000, Version: 7}, Seats: usage.Versioned[int]{Version: 7},
			Active:    usage.Versioned[bool]{Value: true, Version: 7},
			ExpiresAt: usage.Versioned[time.Time]{Value: end, Version: 7}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("license (-want +got):\n%s", diff)
		}
		if _, err := s.License(t.Context(), id(2)); !errors.Is(err, usage.ErrLicenseNotFound) {
			t.Errorf("unknown license: %v", err)
		}
	})
}

func TestEventsOnce(t *testing.T) {
	each(t, func(t *testing.T, s *consumer) {
		changed := use(3, now, detect.Observation{})
		changed.Type = eventsv1.TypeLicenseUpdated
		a, b := use(1, now, detect.Observation{HardwareID: "a"}), use(2, now, detect.Observation{HardwareID: "a"})
		s.commit(a, changed)
		for _, again := range [][]usage.Event{{a}, {a, b}, {b, changed}} {
			if err := s.Write(t.Context(), now, s.batch(again...)); !errors.Is(err, usage.ErrRepeated) {
				t.Errorf("a batch with an event that was taken in before: %v", err)
			}
		}
		taken, err := s.Taken(t.Context(), []usage.Event{a, b, changed})
		if diff := cmp.Diff(map[string]bool{a.EventID: true, changed.EventID: true}, taken); diff != "" || err != nil {
			t.Errorf("taken in before (-want +got):\n%s%v", diff, err)
		}
		s.commit(b)
		if l, err := s.License(t.Context(), id(1)); err != nil || l.Validations != 2 {
			t.Errorf("license: %+v, %v", l, err)
		}
	})
}

// TestEventLog reads more than one page, with many events at the same time.
func TestEventLog(t *testing.T) {
	each(t, func(t *testing.T, s *consumer) {
		const total = 6000
		for n := 0; n < total; n += 1000 {
			var events []usage.Event
			for i := n; i < n+1000; i++ {
				events = append(events, use(total-i, now.Add(-time.Duration(i/4000)*time.Minute), detect.Observation{}))
			}
			s.commit(events...)
		}
		var last *usage.Event
		seen := 0
		err := s.Events(t.Context(), id(1), now.Add(-time.Hour), now, func(e *usage.Event) error {
			if last != nil && (e.At.Before(last.At) || e.At.Equal(last.At) && e.EventID <= last.EventID) {
				return fmt.Errorf("%s at %s comes after %s at %s", e.EventID, e.At, last.EventID, last.At)
			}
			last = e
			seen++
			return nil
		})
		if err != nil || seen != total {
			t.Errorf("read %d of %d events: %v", seen, total, err)
		}
	})
}

// TestRollback demands that a batch which cannot be written leaves nothing, and can come again.
func TestRollback(t *testing.T) {
	each(t, func(t *testing.T, s *consumer) {
		b := s.batch(use(1, now, detect.Observation{}))
		b.Findings = []detect.Finding{finding(now, 0.5)} // the last that is written
		b.Findings[0].Expected.Value = math.NaN()
		if err := s.Write(t.Context(), now, b); err == nil {
			t.Fatal("a finding that cannot be stored was written")
		}
		if _, err := s.License(t.Context(), id(1)); !errors.Is(err, usage.ErrLicenseNotFound) {
			t.Errorf("something was left: %v", err)
		}
		s.commit(use(1, now, detect.Observation{}))
	})
}

func TestStatesSurvive(t *testing.T) {
	each(t, func(t *testing.T, s *consumer) {
		subjects := []string{"ip:192.0.2.1", "license:" + id(1), "license:" + id(2)}
		state := map[string][]byte{subjects[0]: {0, 1, 255}, subjects[1]: {}}
		for round := range int64(2) {
			b := s.batch(use(int(round), now, detect.Observation{}))
			b.States = state
			if err := s.Write(t.Context(), now, b); err != nil {
				t.Fatal(err)
			}
			s.progress.Taken = b.Position
			want := map[string]usage.State{subjects[0]: {Data: state[subjects[0]], Position: round + 1},
				subjects[1]: {Position: round + 1}}
			got, err := s.States(t.Context(), subjects)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("round %d: states (-want +got):\n%s%v", round, diff, err)
			}
		}
	})
}

func finding(at time.Time, score float64) detect.Finding {
	return detect.Finding{Key: "device_churn " + at.Format(time.RFC3339Nano), Type: detect.DeviceChurn,
		Subject: "license:" + id(1), LicenseID: id(1), Severity: detect.SeverityMedium, Score: score, FirstSeen: at,
		DetectedAt: at, LastSeen: at, Reason: odd,
		Evidence: []detect.Evidence{{EventID: id(7), OccurredAt: at, What: "x"}}}
}

// TestEpisodes follows one subject through two stretches of the same kind.
func TestEpisodes(t *testing.T) {
	each(t, func(t *testing.T, s *consumer) {
		s.commit(use(1, now, detect.Observation{}))
		record := func(wall time.Time, want int, f ...detect.Finding) {
			t.Helper()
			if n, err := s.Record(t.Context(), f, wall); err != nil || n != want {
				t.Fatalf("record: %d new, %v, want %d", n, err, want)
			}
		}
		statuses := func() (all []string) {
			t.Helper()
			list, err := s.Anomalies(t.Context(), usage.AnomalyQuery{LicenseID: id(1)})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range list {
				all = append(all, a.Status)
			}
			return all
		}
		record(now, 1, finding(now, 0.5))
		record(now, 0, finding(now, 0.5))
		record(now.Add(time.Hour), 0, finding(now.Add(time.Hour), 0.7))
		if diff := cmp.Diff([]string{"open"}, statuses()); diff != "" {
			t.Fatalf("after three findings of one stretch (-want +got):\n%s", diff)
		}
		later := now.Add(26 * time.Hour)
		if n, err := s.CloseAnomalies(t.Context(), later); err != nil || n != 1 {
			t.Fatalf("close: %d, %v", n, err)
		}
		next := now.Add(72 * time.Hour)
		record(next, 1, finding(next, 0.6))
		if diff := cmp.Diff([]string{"open", "closed"}, statuses()); diff != "" {
			t.Errorf("after the second stretch (-want +got):\n%s", diff)
		}
		// Without the closing in between, a new stretch closes the one before.
		last := next.Add(72 * time.Hour)
		record(last, 1, finding(last, 0.6))
		record(last, 1, finding(now.AddDate(0, -1, 0), 0.9)) // found on request, long over
		if diff := cmp.Diff([]string{"open", "closed", "closed", "closed"}, statuses()); diff != "" {
			t.Errorf("in the end (-want +got):\n%s", diff)
		}
		if open, _, err := s.CountAnomalies(t.Context(), now); err != nil || open != 1 {
			t.Errorf("%d open, %v", open, err)
		}
	})
}

// TestRiskAges keeps a score per day, and lets it fade.
func TestRiskAges(t *testing.T) {
	each(t, func(t *testing.T, s *consumer) {
		s.commit(use(1, now, detect.Observation{}))
		if _, err := s.Record(t.Context(), []detect.Finding{finding(now, 0.9)}, now); err != nil {
			t.Fatal(err)
		}
		for day := 1; day <= 30; day++ {
			if next, err := s.RescoreAfter(t.Context(), "", now.AddDate(0, 0, day)); err != nil || next != "" {
				t.Fatalf("rescore: %q, %v", next, err)
			}
		}
		scores, err := s.Scores(t.Context(), id(1), now.AddDate(0, 0, -1))
		if err != nil || len(scores) != 31 {
			t.Fatalf("%d scores, %v", len(scores), err)
		}
		if first, last := scores[0].Score, scores[30].Score; first <= 0 || last <= 0 || last >= first/2 {
			t.Errorf("the score went from %d to %d in 30 days", first, last)
		}
	})
}

func TestPrune(t *testing.T) {
	each(t, func(t *testing.T, s *consumer) {
		old, day := now.AddDate(0, 0, -100), 24*time.Hour
		s.commit(use(1, old, detect.Observation{HardwareID: "a", IP: "192.0.2.1"}),
			use(2, now, detect.Observation{HardwareID: "a", IP: "192.0.2.1"}))
		count := func() (n int) {
			t.Helper()
			if err := s.Events(t.Context(), id(1), old, now, func(*usage.Event) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
			return n
		}
		x := store.Expiry{
			Now:     now,
			Events:  now.Add(-90 * day),
			States:  now.Add(-400 * day),
			Rollups: now.Add(-800 * day),
		}
		if n, err := s.Prune(t.Context(), x); err != nil || count() != 1 {
			t.Fatalf("pruned %d rows, %v; %d events are left", n, err, count())
		}
		l, err := s.License(t.Context(), id(1))
		if err != nil {
			t.Fatal(err)
		}
		if h, err := s.History(t.Context(), l, usage.LastDays(now, 366)); err != nil || len(h.Days) != 2 ||
			h.Networks != 1 {
			t.Errorf("the days went with the events: %+v, %v", h, err)
		}
		if err := s.Write(t.Context(), now,
			s.batch(use(1, old, detect.Observation{}))); !errors.Is(err, usage.ErrRepeated) {
			t.Errorf("a pruned event again: %v", err)
		}
		x.Rollups = now.Add(-day)
		if _, err := s.Prune(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		if h, err := s.History(t.Context(), l, usage.LastDays(now, 366)); err != nil || len(h.Days) != 1 {
			t.Errorf("days after their time: %+v, %v", h, err)
		}
		s.commit(use(3, old, detect.Observation{HardwareID: "a"}))
		if h, err := s.History(t.Context(), l, usage.LastDays(now, 366)); err != nil || len(h.Days) != 2 ||
			h.Days[0].Validations != 1 || h.DeviceDays[0].Uses != 1 {
			t.Errorf("after an event of a day that was pruned: %+v, %v", h, err)
		}
	})
}

// TestEpochs demands that who was replaced as the consumer writes no more.
func TestEpochs(t *testing.T) {
	each(t, func(t *testing.T, s *consumer) {
		s.commit(use(1, now, detect.Observation{HardwareID: "A"}))
		stale := s.batch(use(2, now, detect.Observation{HardwareID: "A"}))
		s.takeOver()
		if s.progress.Taken != 1 || s.progress.ReplayAfter != 1 {
			t.Errorf("the next consumer goes on from %+v", s.progress)
		}
		if err := s.Write(t.Context(), now, stale); !errors.Is(err, usage.ErrFenced) {
			t.Fatalf("write under the earlier epoch: %v", err)
		}
		s.commit(use(2, now, detect.Observation{HardwareID: "A"}))
		if l, err := s.License(t.Context(), id(1)); err != nil || l.Validations != 2 {
			t.Errorf("license: %+v, %v; want 2 validations", l, err)
		}
	})
}
