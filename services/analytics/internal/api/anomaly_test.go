package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// abuses tell each kind's story in events, and return the subject.
var abuses = map[string]func(k *harness) (subject string){
	"key_enumeration": func(k *harness) string {
		for i := range 40 {
			k.add(eventsv1.TypeLicenseValidationFailed, now.Add(time.Duration(i-60)*time.Minute), body{
				"license_id": "", "ip": "203.0.113.9", "error_code": "LICENSE_NOT_FOUND",
				"license_key_hash": fmt.Sprintf("%064x", i)})
		}
		return "ip:203.0.113.9"
	},
	"device_churn": func(k *harness) string { return "license:" + busy(k) },
	"seat_overuse": func(k *harness) string {
		id := k.create(1, 2, nil)
		for i := range 24 {
			k.add(eventsv1.TypeLicenseDeviceLimitExceeded, now.Add(time.Duration(i-24)*3*time.Hour),
				body{"license_id": id, "hardware_id": fmt.Sprint("extra", i%8),
					"device_name": fmt.Sprint("pc", i%8), "ip": fmt.Sprintf("198.51.100.%d", i%8), "current_devices": 2,
					"max_devices": 2, "error_code": "DEVICE_LIMIT_EXCEEDED"})
		}
		return "license:" + id
	},
	"account_sharing": func(k *harness) string {
		id := k.create(1, 1, nil)
		for i := range 36 {
			for device := range 3 {
				k.add(eventsv1.TypeLicenseHeartbeat,
					now.Add(time.Duration(i-40)*5*time.Minute+time.Duration(device)*time.Second), body{"license_id": id,
						"hardware_id": fmt.Sprint("d", device), "ip": fmt.Sprintf("198.51.%d.7", 100+device)})
			}
		}
		return "license:" + id
	},
	"dormant_reactivated": func(k *harness) string {
		id := k.create(1, 3, nil)
		for day := range 20 {
			k.add(eventsv1.TypeLicenseValidated, now.AddDate(0, 0, day-140),
				body{"license_id": id, "hardware_id": "old", "ip": "192.0.2.7"})
		}
		for day := range 5 {
			for device := range 3 {
				k.add(eventsv1.TypeLicenseValidated, now.AddDate(0, 0, day-5).Add(time.Duration(device)*time.Hour),
					body{"license_id": id,
						"hardware_id": fmt.Sprint("new", device), "ip": fmt.Sprintf("203.%d.113.7", device)})
			}
		}
		return "license:" + id
	},
}

// TestDetectors follows each kind from events to the endpoints, the risk score and the outbox.
func TestDetectors(t *testing.T) {
	for kind, tell := range abuses {
		t.Run(kind, func(t *testing.T) {
			each(t, func(t *testing.T, k *harness) {
				subject := tell(k)
				list := k.get("/anomalies?type=" + kind)["anomalies"].([]any)
				if len(list) != 1 || at(list, "0", "subject") != subject {
					t.Fatalf("anomalies: %v, want one of %s", list, subject)
				}
				a := list[0].(map[string]any)
				if at(a, "evidence", "0", "event_id") == nil || a["reason"] == "" || a["suggestion"] == "" ||
					a["score"].(float64) <= 0 {
					t.Errorf("the anomaly does not explain itself: %v", a)
				}
				announced(t, k, subject, kind, a["anomaly_id"].(string))
				if at(k.get("/dashboard"), "anomalies", "by_type", kind) != 1.0 {
					t.Error("the dashboard does not count it")
				}
				if id, ok := a["license_id"].(string); ok && id != "" {
					risky(t, k, id, kind)
				}
			})
		})
	}
}

// announced demands exactly one announcement of the anomaly.
func announced(t *testing.T, k *harness, subject, kind, id string) {
	t.Helper()
	n := 0
	for _, e := range k.published(eventsv1.TypeAnomalyDetected, subject) {
		var m eventsv1.AnomalyDetected
		if err := e.Into(&m); err != nil {
			t.Fatal(err)
		}
		if m.AnomalyType == kind {
			n++
			if m.AnomalyId != id || m.Subject != subject || m.Reason == "" || m.DetectedAt == nil {
				t.Errorf("announcement: %s %s", e.Type, e.Data)
			}
		}
	}
	if n != 1 {
		t.Errorf("%d announcements of %s, want 1", n, kind)
	}
}

// risky demands a risk score whose factors add up, and that a detection on request finds nothing new, twice.
func risky(t *testing.T, k *harness, id, kind string) {
	t.Helper()
	r := k.get("/licenses/" + id + "/risk-score")
	points := 0.0
	for _, f := range r["factors"].([]any) {
		points += at(f, "points").(float64)
	}
	if r["risk_score"].(float64) <= 0 || points != r["risk_score"] {
		t.Errorf("%s: risk %v, the factors sum up to %v", kind, r["risk_score"], points)
	}
	if at(r, "history", "0", "score") == nil {
		t.Errorf("%s: the score of the day was not stored", kind)
	}
	for range 2 {
		d := k.call("POST", "/licenses/"+id+"/anomalies/detect", `{"from": "2025-10-01"}`).body
		if d["new"] != 0.0 || len(d["anomalies"].([]any)) == 0 || d["risk_score"] != r["risk_score"] {
			t.Errorf("%s: detection on request: new %v, %v", kind, d["new"], d["anomalies"])
		}
	}
}

// TestDetectFindsTheSame demands that a detection on request continues what the live one found, and changes nothing
// when repeated.
func TestDetectFindsTheSame(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		id := busy(k)
		live := at(k.get("/anomalies?type=device_churn"), "anomalies", "0", "anomaly_id")
		if a := k.call("POST", "/licenses/"+id+"/anomalies/detect",
			""); at(a.body, "anomalies", "0", "anomaly_id") != live {
			t.Errorf("on request another anomaly was found than live (%v): %s", live, a.text)
		}
		before := k.call("POST", "/licenses/"+id+"/anomalies/detect", `{"sensitivity": 2}`).body
		after := k.call("POST", "/licenses/"+id+"/anomalies/detect", `{"sensitivity": 2}`).body
		if after["new"] != 0.0 {
			t.Errorf("found again, %v are new", after["new"])
		}
		if diff := cmp.Diff(before["anomalies"], after["anomalies"]); diff != "" {
			t.Errorf("asked again, the anomalies differ (-first +second):\n%s", diff)
		}
		// A date as an end is valid through its day, and nobody looks into the future.
		today := k.call("POST", "/licenses/"+id+"/anomalies/detect", "").body
		for _, to := range []string{k.clock.Now().Format(time.DateOnly), "2999-12-31"} {
			through := k.call("POST", "/licenses/"+id+"/anomalies/detect", `{"to": "`+to+`"}`).body
			if at(through, "checked", "events") != at(today, "checked", "events") ||
				at(through, "window", "to") != at(today, "window", "to") {
				t.Errorf("to %s: %v of %v, without: %v of %v", to, through["checked"], through["window"],
					today["checked"], today["window"])
			}
		}
		if a := k.call("POST", "/licenses/"+id+"/anomalies/detect",
			`{"from": "2026-01-01", "to": "2026-01-02"}`).body; len(a["anomalies"].([]any)) != 0 {
			t.Errorf("a span without use has anomalies: %v", a["anomalies"])
		}
	})
}

func TestJudge(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		id := busy(k)
		anomaly := at(k.get("/anomalies?type=device_churn"), "anomalies", "0", "anomaly_id").(string)
		risk := func() float64 { return k.get("/licenses/" + id + "/risk-score")["risk_score"].(float64) }
		was := risk()
		a := k.call("PATCH", "/anomalies/"+anomaly, `{"status": "false_positive", "note": "they moved"}`)
		if a.status != 200 || a.body["status"] != "false_positive" || a.body["note"] != "they moved" {
			t.Fatalf("judge: %d %s", a.status, a.text)
		}
		if now := risk(); now >= was {
			t.Errorf("risk %v after the false positive, %v before", now, was)
		}
		if top := at(k.get("/reports/usage"), "by_license", "0", "anomalies"); top != 0.0 {
			t.Errorf("the report counts %v open anomalies", top)
		}
		k.add(eventsv1.TypeLicenseActivated, now, body{"license_id": id, "hardware_id": "one-more", "ip": "203.0.113.1",
			"version": 999, "current_devices": 2, "max_devices": 2})
		if n := len(k.get("/anomalies?type=device_churn")["anomalies"].([]any)); n != 1 {
			t.Errorf("%d anomalies after more of the same, want the judged one only", n)
		}
		k.call("PATCH", "/anomalies/"+anomaly, `{"status": "false_positive"}`) // changes nothing
		k.call("PATCH", "/anomalies/"+anomaly, `{"status": "open"}`)
		if now := risk(); now < was {
			t.Errorf("risk %v after the judgment was taken back, %v before it", now, was)
		}
		var entries []string
		for _, e := range k.published(eventsv1.TypeAuditRecorded, "license:"+id) {
			var entry eventsv1.AuditRecorded
			if err := e.Into(&entry); err != nil {
				t.Fatal(err)
			}
			if by := entry.Actor; by.Id != "all" || by.Name != "tests" || by.Role != "client" || by.Ip == "" ||
				by.RequestId == "" {
				t.Errorf("the audit log names %v", by)
			}
			entries = append(entries, fmt.Sprint(entry.Action, " ", entry.LicenseId == id, " ",
				strings.ReplaceAll(entry.BeforeJson+" "+entry.AfterJson, anomaly, "A")))
		}
		want := []string{ // newest first
			`anomaly.judge true {"anomaly_id":"A","status":"false_positive"} {"anomaly_id":"A","status":"open"}`,
			`anomaly.judge true {"anomaly_id":"A","note":"","status":"open"} {"anomaly_id":"A","note":"they moved",` +
				`"status":"false_positive"}`,
		}
		if diff := cmp.Diff(want, entries); diff != "" {
			t.Errorf("entries of the audit log (-want +got):\n%s", diff)
		}
	})
}

func TestAnomalyPages(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		for i := range 3 {
			for n := range 40 {
				k.add(eventsv1.TypeLicenseValidationFailed, now.Add(time.Duration(n-60)*time.Minute),
					body{"license_id": "", "ip": fmt.Sprintf("203.0.%d.9", i),
						"error_code": "LICENSE_NOT_FOUND", "license_key_hash": fmt.Sprintf("%064x", n)})
			}
		}
		seen := map[string]bool{}
		for path := "/anomalies?limit=2"; ; {
			r := k.get(path)
			for _, a := range r["anomalies"].([]any) {
				seen[at(a, "subject").(string)] = true
			}
			next, more := r["next_cursor"].(string)
			if !more {
				break
			}
			path = "/anomalies?limit=2&cursor=" + next
		}
		if len(seen) != 3 {
			raw, _ := json.Marshal(seen)
			t.Errorf("over all pages: %s", raw)
		}
		if n := len(k.get("/anomalies?status=confirmed")["anomalies"].([]any)); n != 0 {
			t.Errorf("%d confirmed", n)
		}
	})
}

// TestFiltersKnowTheirValues: a filter that nothing can match is a slip, and not the good news that there is nothing.
func TestFiltersKnowTheirValues(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		for query, want := range map[string]string{
			"type=device-churn":  "did you mean device_churn?",
			"type=nosuch":        "must be one of device_churn, ",
			"status=Open":        "did you mean open?",
			"severity=urgent":    "must be one of low, medium, high, critical",
			"type=&status=open":  "",
			"license_id=no-uuid": "must be the id of a license",
		} {
			got := k.call("GET", "/anomalies?"+query, "")
			if got.status != 400 || !strings.Contains(got.text, want) {
				t.Errorf("%s: %d %s", query, got.status, got.text)
			}
		}
	})
}

// TestFloatingLicenseIsNotShared lets five workstations run by five leases that need no seat. What the license is was
// told before the span that is looked at on request.
func TestFloatingLicenseIsNotShared(t *testing.T) {
	each(t, func(t *testing.T, k *harness) {
		id := k.create(1, 1, body{"license": body{"terms": body{
			"max_devices": 1, "floating": body{"slots": 5, "activation": "none"},
		}}})
		for i := range 600 {
			k.add(eventsv1.TypeLicenseValidated, now.Add(time.Duration(i-600)*time.Minute), body{"license_id": id,
				"hardware_id": fmt.Sprint("ws-", i%5), "ip": []string{"198.51.100.7", "203.0.113.1"}[i%5/4]})
		}
		if found := k.get("/anomalies?license_id=" + id)["anomalies"].([]any); len(found) != 0 {
			t.Errorf("as the events came: %v", found)
		}
		detected := k.call("POST", "/licenses/"+id+"/anomalies/detect", "").body
		if found := detected["anomalies"].([]any); len(found) != 0 || at(detected, "checked", "events") != 600.0 {
			t.Errorf("on request: %v", detected)
		}
	})
}

// TestAnomalyGrows: an anomaly is described by all that is known of it, soon after the events came and at once when it
// is looked for again, also where it stops growing within the hour in which it was found.
func TestAnomalyGrows(t *testing.T) {
	refusals := func(k *harness, id string, from, to int) {
		for i := from; i < to; i++ {
			k.add(eventsv1.TypeLicenseDeviceLimitExceeded, now.Add(time.Duration(i-60)*time.Second),
				body{"license_id": id, "hardware_id": fmt.Sprint("pc-", i), "ip": "203.0.113.1", "max_devices": 2})
		}
		k.consume()
	}
	each(t, func(t *testing.T, k *harness) {
		id := k.create(1, 2, nil)
		observed := func() any {
			return at(k.get("/anomalies?license_id="+id), "anomalies", "0", "observed")
		}
		refusals(k, id, 0, 20)
		if was := observed(); was == nil || was == "20 devices refused in 7 days" {
			t.Fatalf("told with the first events that suffice: %v", was)
		}
		if err := k.consumer.DescribeGrown(t.Context()); err != nil || observed() != "20 devices refused in 7 days" {
			t.Errorf("after a while: %v, %v", observed(), err)
		}
		refusals(k, id, 20, 28)
		a := k.call("POST", "/licenses/"+id+"/anomalies/detect", "")
		got := at(a.body, "anomalies", "0", "observed")
		if got != "28 devices refused in 7 days" || a.body["new"] != 0.0 {
			t.Errorf("looked for again: %s", a.text)
		}
		again := k.call("POST", "/licenses/"+id+"/anomalies/detect", "")
		if diff := cmp.Diff(a.body["anomalies"], again.body["anomalies"]); diff != "" {
			t.Errorf("and once more: %s", diff)
		}
	})
}
