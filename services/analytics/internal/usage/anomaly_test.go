package usage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// TestAsGraveAsEver: an anomaly keeps its highest score and the severity of that, and has the words of the last
// evidence; so does what one detection found several times.
func TestAsGraveAsEver(t *testing.T) {
	finding := func(minute int, score float64, severity detect.Severity, reason string) detect.Finding {
		at := now.Add(time.Duration(minute) * time.Minute)
		return detect.Finding{Key: "k", Type: detect.DeviceChurn, Subject: "license:l", LicenseID: "l", Score: score,
			Severity: severity, FirstSeen: now, DetectedAt: now, LastSeen: at, Reason: reason}
	}
	findings := []detect.Finding{
		finding(0, 0.5, detect.SeverityMedium, "many"),
		finding(1, 0.9, detect.SeverityCritical, "more"),
		finding(2, 0.3, detect.SeverityLow, "few"),
	}
	r := Record(nil, findings, now)
	if len(r.Created) != 1 {
		t.Fatalf("%d anomalies, want one", len(r.Created))
	}
	type grave struct {
		Score            float64
		Severity, Reason string
	}
	want := grave{0.9, "critical", "few"}
	if diff := cmp.Diff(want, grave{r.Created[0].Score, r.Created[0].Severity, r.Created[0].Reason}); diff != "" {
		t.Errorf("the anomaly (-want +got):\n%s", diff)
	}
	var found []detect.Finding
	for _, f := range findings {
		found = latest(found, f)
	}
	if diff := cmp.Diff(want, grave{found[0].Score, string(found[0].Severity), found[0].Reason}); diff != "" {
		t.Errorf("found on request (-want +got):\n%s", diff)
	}
}

// TestJudgedAsItIsStored: the audit log says what has become of an anomaly, not what was asked for.
func TestJudgedAsItIsStored(t *testing.T) {
	status := func(s string) Judgment { return Judgment{Status: &s} }
	note := "they moved"
	for name, tt := range map[string]struct {
		was         string
		silent      bool
		j           Judgment
		want, audit string
	}{
		"open": {StatusConfirmed, false, status(StatusOpen), StatusOpen, `{"anomaly_id":"","status":"open"}`},
		"open, after its end": {StatusConfirmed, true, status(StatusOpen), StatusClosed,
			`{"anomaly_id":"","status":"closed"}`},
		"open, closed before": {StatusClosed, true, status(StatusOpen), StatusClosed, ""},
		"a note, after its end": {StatusOpen, true, Judgment{Note: &note}, StatusClosed,
			`{"anomaly_id":"","note":"they moved"}`},
	} {
		a := &Anomaly{Status: tt.was, LastSeen: now}
		if tt.silent {
			a.LastSeen = now.Add(-2 * EpisodeGap)
		}
		entry := a.judge(nil, tt.j, now)
		if a.Status != tt.want || entry.GetAfterJson() != tt.audit {
			t.Errorf("%s: %s, audited %s; want %s, %s", name, a.Status, entry.GetAfterJson(), tt.want, tt.audit)
		}
	}
}
