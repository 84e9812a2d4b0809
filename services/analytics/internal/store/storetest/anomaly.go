package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

func finding(at time.Time, score float64) detect.Finding {
	return detect.Finding{Key: "device_churn " + at.Format(time.RFC3339Nano), Type: detect.DeviceChurn,
		Subject: "license:" + id(1), LicenseID: id(1), Severity: detect.SeverityMedium, Score: score, FirstSeen: at,
		DetectedAt: at, LastSeen: at, Reason: odd,
		Evidence: []detect.Evidence{{EventID: id(7), OccurredAt: at, What: "x"}}}
}

// episodes follows one subject through two stretches of the same kind.
func episodes(t *testing.T, s *consumer) {
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
	grown := finding(now, 0.5)
	grown.Status = detect.StatusGrown
	record(now, 0, grown) // of what is not known any more
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
}

// reaching: a finding over a closed anomaly and the open one after it is evidence of the open one, and one that clocks
// apart by a moment make a new anomaly of ends the one before.
func reaching(t *testing.T, s *consumer) {
	s.commit(use(1, now, detect.Observation{}))
	record := func(wall time.Time, f detect.Finding) (all []string) {
		t.Helper()
		if _, err := s.Record(t.Context(), []detect.Finding{f}, wall); err != nil {
			t.Fatal(err)
		}
		list, err := s.Anomalies(t.Context(), usage.AnomalyQuery{LicenseID: id(1)})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			all = append(all, fmt.Sprint(a.Status, " ", a.Score, " ", a.FirstSeen.Sub(now), " ", a.LastSeen.Sub(now)))
		}
		return all
	}
	next := now.Add(30 * time.Hour)
	record(now, finding(now, 0.5))
	over := finding(now, 0.7)
	over.LastSeen = next.Add(time.Hour)
	for _, tt := range []struct {
		wall    time.Time
		finding detect.Finding
		want    []string
	}{
		{next, finding(next, 0.6), []string{"open 0.6 30h0m0s 30h0m0s", "closed 0.5 0s 0s"}},
		{over.LastSeen, over, []string{"open 0.7 0s 31h0m0s", "closed 0.5 0s 0s"}},
		{over.LastSeen, over, []string{"open 0.7 0s 31h0m0s", "closed 0.5 0s 0s"}},
		{next.Add(24 * time.Hour), finding(next.Add(26*time.Hour), 0.6),
			[]string{"open 0.6 56h0m0s 56h0m0s", "closed 0.7 0s 31h0m0s", "closed 0.5 0s 0s"}},
	} {
		if diff := cmp.Diff(tt.want, record(tt.wall, tt.finding)); diff != "" {
			t.Errorf("after %s at %s (-want +got):\n%s", tt.finding.Key, tt.wall, diff)
		}
	}
}

// addresses have one anomaly for each network, and of too many networks all further ones have one.
func addresses(t *testing.T, s *consumer) {
	from := func(at time.Time, address string, score float64) detect.Finding {
		return detect.Finding{Key: "key_enumeration " + address, Type: detect.KeyEnumeration, Subject: "ip:" + address,
			Severity: detect.SeverityMedium, Score: score, FirstSeen: at, DetectedAt: at, LastSeen: at,
			Reason: address + " tried keys."}
	}
	record := func(want int, f ...detect.Finding) {
		t.Helper()
		if n, err := s.Record(t.Context(), f, now.Add(time.Hour)); err != nil || n != want {
			t.Fatalf("record: %d new, %v, want %d", n, err, want)
		}
	}
	all := func() map[string]usage.Anomaly {
		t.Helper()
		list, err := s.Anomalies(t.Context(), usage.AnomalyQuery{})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]usage.Anomaly{}
		for _, a := range list {
			found[a.Subject] = a
		}
		if len(found) != len(list) {
			t.Errorf("%d anomalies of %d subjects", len(list), len(found))
		}
		return found
	}
	record(1, from(now, "203.0.113.9", 0.7), from(now, "203.0.113.10", 0.5))
	record(0, from(now, "203.0.113.10", 0.5)) // found again
	record(1, from(now, "2001:db8:1:2::/64", 0.5), from(now, "2001:db8:1:3::/64", 0.5))
	record(0, from(now.Add(time.Minute), "203.0.113.11", 0.5))
	record(1, from(now, "proxy 203.0.113.12", 0.5))
	a := all()["ip:203.0.113.9"]
	if a.Reason != "203.0.113.0/24 tried keys." || a.Score != 0.7 || !a.LastSeen.Equal(now.Add(time.Minute)) {
		t.Errorf("the anomaly of a network: %+v", a)
	}
	var many []detect.Finding
	for i := range 200 {
		many = append(many, from(now, fmt.Sprintf("198.51.%d.1", i), 0.5))
	}
	record(98, many[:150]...)
	record(0, many[150:]...)
	found := all()
	if len(found) != usage.MaxAddresses+1 || found[usage.OtherAddresses].Reason == "" {
		t.Errorf("%d anomalies, that of others: %+v", len(found), found[usage.OtherAddresses])
	}
	record(1, finding(now, 0.5)) // licenses are not counted with them
	later := now.Add(48 * time.Hour)
	again := []detect.Finding{from(later, "203.0.113.10", 0.5)}
	if n, err := s.Record(t.Context(), again, later); err != nil || n != 1 {
		t.Errorf("when all are silent: %d new, %v", n, err)
	}
	if a := all()["ip:203.0.113.10"]; a.Reason != "203.0.113.10 tried keys." {
		t.Errorf("when all are silent: %+v", a)
	}
}

// riskAges keeps a score per day, and lets it fade.
func riskAges(t *testing.T, s *consumer) {
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
}
