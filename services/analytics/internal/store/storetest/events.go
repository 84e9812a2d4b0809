package storetest

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

func eventsOnce(t *testing.T, s *consumer) {
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
}

// receivedEvents reads more than one page, with many events at the same time: those of a license by time, whatever was
// received first.
func receivedEvents(t *testing.T, s *consumer) {
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
	inOrder := func(e *usage.Event) error {
		if last != nil && (e.At.Before(last.At) || e.At.Equal(last.At) && e.EventID <= last.EventID) {
			return fmt.Errorf("%s at %s comes after %s at %s", e.EventID, e.At, last.EventID, last.At)
		}
		last = e
		seen++
		return nil
	}
	if err := s.Events(t.Context(), id(1), now.Add(-time.Hour), now, inOrder); err != nil || seen != total {
		t.Errorf("read %d of %d events: %v", seen, total, err)
	}
	last, seen = nil, 0
	for page := []usage.Received{{}}; len(page) > 0; {
		var err error
		if page, err = s.ReceivedAfter(t.Context(), page[len(page)-1], id(1), 1000); err != nil {
			t.Fatal(err)
		}
		for i := range page {
			if err := inOrder(&page[i].Event); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seen != total {
		t.Errorf("received %d of %d events of the license", seen, total)
	}
	newest(t, s)
}

// newest demands of the events above, 4000 of now and 2000 of a minute before, that those of one time are all among the
// newest or none.
func newest(t *testing.T, s *consumer) {
	from, minuteAgo := now.Add(-time.Hour), now.Add(-time.Minute)
	for n, want := range map[int]time.Time{
		6000: from, 7000: from, 5999: minuteAgo.Add(time.Microsecond), 4000: minuteAgo.Add(time.Microsecond),
		3999: now.Add(time.Microsecond),
	} {
		if got, err := s.NewestFrom(t.Context(), id(1), from, now, n); err != nil || !got.Equal(want) {
			t.Errorf("the newest %d events begin at %v, want %v: %v", n, got, want, err)
		}
	}
	if got, err := s.NewestFrom(t.Context(), id(1), from, minuteAgo, 2000); err != nil || !got.Equal(from) {
		t.Errorf("the events until a minute ago begin at %v: %v", got, err)
	}
}

// snapshots demands the last event before a moment that tells the whole state of the license, or the first after it.
func snapshots(t *testing.T, s *consumer) {
	updated := func(n int, at time.Time) usage.Event {
		e := use(n, at, detect.Observation{})
		e.Type = eventsv1.TypeLicenseUpdated
		return e
	}
	first, second := updated(1, now.Add(-3*time.Hour)), updated(2, now.Add(-time.Hour))
	s.commit(first, second, use(3, now.Add(-2*time.Hour), detect.Observation{}))
	for moment, want := range map[time.Time]string{now: second.EventID, second.At: first.EventID,
		first.At: first.EventID, first.At.Add(-time.Hour): first.EventID} {
		if got, err := s.SnapshotAt(t.Context(), id(1), moment); err != nil || got == nil || got.EventID != want {
			t.Errorf("at %s: %+v, %v; want %q", moment, got, err, want)
		}
	}
	if got, err := s.SnapshotAt(t.Context(), id(2), now); err != nil || got != nil {
		t.Errorf("of a license without events: %+v, %v", got, err)
	}
}

func recentUses(t *testing.T, s *consumer) {
	other := use(2, now, detect.Observation{})
	other.Type = eventsv1.TypeLicenseUpdated
	early, late := use(1, now, detect.Observation{}), use(3, now.Add(-time.Hour), detect.Observation{})
	for _, e := range []usage.Event{use(4, now, detect.Observation{}), early, other, late} {
		s.commit(e)
	}
	for since, want := range map[time.Time]int{now: 2, now.Add(-2 * time.Hour): 3, now.Add(time.Hour): 0} {
		got, err := s.RecentUses(t.Context(), since, 10)
		if err != nil || len(got) != want {
			t.Errorf("since %s: %+v, %v; want %d", since, got, err, want)
		}
	}
	if got, err := s.RecentUses(t.Context(), now.Add(-2*time.Hour), 2); err != nil || len(got) != 2 {
		t.Errorf("at most 2: %+v, %v", got, err)
	}
}

// rollback demands that a batch which cannot be written leaves nothing, and can come again.
func rollback(t *testing.T, s *consumer) {
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
}

func statesSurvive(t *testing.T, s *consumer) {
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
}

func prune(t *testing.T, s *consumer) {
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
	x := usage.Expiry{
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
		h.Days[0].Validations != 1 || h.Use.On(usage.DayOf(old)) != 1 {
		t.Errorf("after an event of a day that was pruned: %+v, %v", h, err)
	}
}

// forget demands that no table grows forever with devices and addresses that come once.
func forget(t *testing.T, s *consumer) {
	old := now.AddDate(0, 0, -401)
	seated := use(2, old, detect.Observation{HardwareID: "seated"})
	seated.Type, seated.Version = eventsv1.TypeLicenseActivated, 1
	b := s.batch(use(1, old, detect.Observation{HardwareID: "gone"}), seated,
		use(3, now, detect.Observation{HardwareID: "at work"}))
	silent, lately := "ip:192.0.2.1", "ip:192.0.2.2"
	b.States = map[string][]byte{silent: {1}, "license:" + id(1): {1}}
	b.Findings = []detect.Finding{finding(old, 0.5)}
	if err := s.Write(t.Context(), now.AddDate(0, 0, -8), b); err != nil {
		t.Fatal(err)
	}
	s.progress.Taken = b.Position
	b = s.batch(use(4, now, detect.Observation{HardwareID: "at work"}))
	b.States = map[string][]byte{lately: {1}}
	if err := s.Write(t.Context(), now, b); err != nil {
		t.Fatal(err)
	}
	anomalies := func() int {
		t.Helper()
		list, err := s.Anomalies(t.Context(), usage.AnomalyQuery{LicenseID: id(1)})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if n := anomalies(); n != 1 { // closed when it was written
		t.Fatalf("%d anomalies", n)
	}
	x := usage.Expiry{Now: now, Events: old, States: now.AddDate(0, 0, -400), Rollups: now.Add(time.Second)}
	if _, err := s.Prune(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	var devices []usage.DeviceKey
	for _, name := range []string{"gone", "seated", "at work"} {
		devices = append(devices, usage.DeviceKey{LicenseID: id(1), HardwareID: name})
	}
	left, err := s.Rollups(t.Context(), []string{id(1)}, devices)
	if err != nil || len(left.Devices) != 2 || left.Devices[devices[0]] != nil {
		t.Errorf("devices: %v, %v", left.Devices, err)
	}
	states, err := s.States(t.Context(), []string{silent, lately, "license:" + id(1)})
	if _, kept := states[silent]; err != nil || kept || len(states) != 2 {
		t.Errorf("states: %v, %v", states, err)
	}
	if n := anomalies(); n != 0 {
		t.Errorf("%d anomalies are left", n)
	}
}

// epochs demands that who was replaced as the consumer writes no more.
func epochs(t *testing.T, s *consumer) {
	s.commit(use(1, now, detect.Observation{HardwareID: "A"}))
	stale := s.batch(use(2, now, detect.Observation{HardwareID: "A"}))
	s.takeOver()
	if s.progress.Taken != 1 || s.progress.ReplayAfter != 1 {
		t.Errorf("the next consumer goes on from %+v", s.progress)
	}
	if err := s.Write(t.Context(), now, stale); !errors.Is(err, usage.ErrFenced) {
		t.Fatalf("write under the earlier epoch: %v", err)
	}
	grown := []detect.Finding{finding(now, 0.5)}
	if err := s.Describe(t.Context(), now, stale.Epoch, grown); !errors.Is(err, usage.ErrFenced) {
		t.Errorf("describe under the earlier epoch: %v", err)
	}
	if found, err := s.Anomalies(t.Context(), usage.AnomalyQuery{LicenseID: id(1)}); err != nil || len(found) != 0 {
		t.Errorf("anomalies: %+v, %v", found, err)
	}
	s.commit(use(2, now, detect.Observation{HardwareID: "A"}))
	if l, err := s.License(t.Context(), id(1)); err != nil || l.Validations != 2 {
		t.Errorf("license: %+v, %v; want 2 validations", l, err)
	}
}
