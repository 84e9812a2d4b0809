package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/erasure"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// erased is the event that tells of an erasure of the customer acme at a time.
func (s *script) erased(at time.Time, version int, had bool) event.Event {
	rule := erasure.New("acme", "erased-1", at)
	return s.event(eventsv1.TypeCustomerErased, at, body{
		"erased_as": rule.CustomerID, "salt": rule.Salt, "previous": rule.Previous, "erased_at": at, "had": had,
		"version": version,
		"license": body{"license_id": license, "customer_id": "erased-1", "version": version, "is_active": true,
			"current_devices": 1},
	})
}

// contents is the text of all tables of analytics' own.
func contents(t testing.TB, d *db.DB) (all string) {
	t.Helper()
	for _, table := range []string{"events", "licenses", "devices", "networks", "detector_states", "anomalies",
		"erasures", "outbox"} {
		var rows []map[string]any
		if err := d.Read(t.Context()).Session(&gorm.Session{}).Table(table).Find(&rows).Error; err != nil {
			t.Fatal(table, err)
		}
		for _, row := range rows {
			for name, value := range row {
				if raw, ok := value.([]byte); ok {
					value = string(raw)
				}
				all += fmt.Sprintf("%s.%s %v\n", table, name, value)
			}
		}
	}
	return all
}

func left(t testing.TB, d *db.DB) (found []string) {
	t.Helper()
	all := contents(t, d)
	for _, text := range []string{"acme", "alpha", "beta", "192.0.2.", "late-name"} {
		for line := range strings.Lines(all) {
			if strings.Contains(line, text) {
				found = append(found, text+": "+line)
			}
		}
	}
	return found
}

// TestErasures: nothing is left of the customer and the persons, also of events that arrive later, and the figures are
// the same.
func TestErasures(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		r, s := newHarness(t, d), &script{}
		events := month(s)
		late := s.event(eventsv1.TypeLicenseValidated, now.Add(-2*time.Hour),
			body{"hardware_id": "C", "device_name": "late-name", "ip": "192.0.2.9", "customer_id": "acme"})
		r.handle(events...)
		if len(left(t, d)) == 0 {
			t.Fatal("nothing is there to be erased")
		}
		before := r.answers()
		erased := s.erased(now.Add(-time.Hour), 90, false)
		r.handle(erased)
		if found := left(t, d); len(found) > 0 {
			t.Fatal(found)
		}
		if diff := cmp.Diff(before.Total, r.answers().Total); diff != "" {
			t.Errorf("figures differ:\n%s", diff)
		}
		r.handle(erased) // delivered twice
		r.handle(late)
		r.consumer = r.another()
		r.handle(s.event(eventsv1.TypeLicenseHeartbeat, now.Add(-90*time.Minute),
			body{"hardware_id": "C", "device_name": "late-name", "ip": "192.0.2.9"}))
		if found := left(t, d); len(found) > 0 {
			t.Error(found)
		}
		fresh := s.event(eventsv1.TypeLicenseValidated, now, body{"hardware_id": "C", "device_name": "a new name"})
		r.handle(fresh)
		if !strings.Contains(contents(t, d), "a new name") {
			t.Error("what came after the erasure is erased")
		}
	})
}

// TestErasureOfAFormerCustomer: what the license says of others stays.
func TestErasureOfAFormerCustomer(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		r, s := newHarness(t, d), &script{}
		r.handle(month(s)...)
		r.handle(s.erased(now.Add(-time.Hour), 90, true))
		all := contents(t, d)
		if strings.Contains(all, "acme") || !strings.Contains(all, "alpha") || !strings.Contains(all, "192.0.2.1") {
			t.Error(all)
		}
	})
}

// TestErasureOfAddresses: anomalies of the addresses that a person had stay, without them.
func TestErasureOfAddresses(t *testing.T) {
	for name, ip := range map[string]string{"IPv4": "192.0.2.77", "IPv6": "2001:db8:77::1"} {
		t.Run(name, func(t *testing.T) {
			testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
				r, s := newHarness(t, d), &script{}
				r.handle(s.created(now.Add(-3*time.Hour), 3), s.event(eventsv1.TypeLicenseValidated,
					now.Add(-3*time.Hour), body{"hardware_id": "A", "ip": ip}))
				for i := range 60 {
					r.handle(s.event(eventsv1.TypeLicenseValidationFailed,
						now.Add(-2*time.Hour+time.Duration(i)*time.Second),
						body{"license_id": "", "license_key_hash": fmt.Sprint("h", i), "hardware_id": "B", "ip": ip,
							"error_code": "LICENSE_NOT_FOUND"}))
				}
				subject := "ip:" + detect.AddressKey(ip, false)
				if all := contents(t, d); !strings.Contains(all, "anomalies.subject "+subject) ||
					!strings.Contains(all, "outbox.subject "+subject) {
					t.Fatal("there is no anomaly of the address: ", all)
				}
				r.handle(s.erased(now.Add(-time.Hour), 90, false))
				for line := range strings.Lines(contents(t, d)) {
					if strings.Contains(line, subject[len("ip:"):]) && !strings.HasPrefix(line, "events.") {
						t.Error(line)
					}
				}
				if !strings.Contains(contents(t, d), "anomalies.subject ip:erased-") {
					t.Error("the anomaly is gone")
				}
			})
		})
	}
}

// TestAnErasureHidesNoAttack: who goes on trying keys from an address that was erased is found anew, also after a
// restart, and as somebody of whom nothing is known.
func TestAnErasureHidesNoAttack(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		const ip = "192.0.2.77"
		r, s := newHarness(t, d), &script{}
		attack := func(from time.Time) {
			for i := range 60 {
				at := from.Add(time.Duration(i) * time.Second)
				r.handle(s.event(eventsv1.TypeLicenseValidationFailed, at, body{"license_id": "",
					"license_key_hash": fmt.Sprint(at), "hardware_id": "B", "ip": ip,
					"error_code": "LICENSE_NOT_FOUND"}))
			}
		}
		anomalies := func(since time.Time) (subjects []string) {
			t.Helper()
			found, err := r.store.Anomalies(t.Context(), usage.AnomalyQuery{})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range found {
				if a.Subject == "ip:"+ip && a.FirstSeen.Before(since) {
					t.Errorf("what was erased is remembered: %+v", a)
				}
				subject, _, _ := strings.Cut(a.Subject, "-")
				subjects = append(subjects, subject)
			}
			return subjects
		}
		r.handle(s.created(now.Add(-time.Hour), 3), s.event(eventsv1.TypeLicenseValidated, now.Add(-time.Hour),
			body{"hardware_id": "A", "ip": ip}))
		attack(now.Add(-40 * time.Minute))
		if diff := cmp.Diff([]string{"ip:" + ip}, anomalies(now.Add(-time.Hour))); diff != "" {
			t.Fatal(diff)
		}
		r.handle(s.erased(now.Add(-30*time.Minute), 90, false))
		r.consumer = r.another()
		attack(now.Add(-20 * time.Minute))
		if diff := cmp.Diff([]string{"ip:" + ip, "ip:erased"}, anomalies(now.Add(-20*time.Minute))); diff != "" {
			t.Error(diff)
		}
	})
}

// TestNobodyForgetsAnErasure: a process that took over before another one erased takes nothing in that was erased.
func TestNobodyForgetsAnErasure(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		r, s := newHarness(t, d), &script{}
		r.handle(month(s)...)
		taker := r.another()
		take := func(b body) error {
			late := s.event(eventsv1.TypeLicenseHeartbeat, now.Add(-2*time.Hour), b)
			return taker.Handle(t.Context(), []event.Event{late})
		}
		if err := take(body{"hardware_id": "C", "version": 91}); err != nil {
			t.Fatal(err)
		}
		erased := decoded(t, s.erased(now.Add(-time.Hour), 90, false))
		if err := r.store.Erase(t.Context(), erased); err != nil {
			t.Fatal(err)
		}
		late := body{"hardware_id": "C", "device_name": "late-name", "customer_id": "acme", "ip": "192.0.2.9"}
		if err := take(late); !errors.Is(err, usage.ErrFenced) {
			t.Errorf("taken in by one who does not know of the erasure: %v", err)
		}
		if err := take(late); err != nil {
			t.Error(err)
		}
		if found := left(t, d); len(found) > 0 {
			t.Error(found)
		}
	})
}

func decoded(t *testing.T, e event.Event) *usage.Erasure {
	t.Helper()
	erasure, err := usage.ErasureOf(&usage.Event{
		Observation: detect.Observation{EventID: e.ID, Type: e.Type, LicenseID: license}, Data: e.Data,
	})
	if err != nil || erasure == nil {
		t.Fatal(erasure, err)
	}
	return erasure
}

// TestAnErasureThatFailsIsRepeated: the event is delivered until it was obeyed.
func TestAnErasureThatFailsIsRepeated(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		r, s := newHarness(t, d), &script{}
		r.handle(month(s)...)
		erased := s.erased(now.Add(-time.Hour), 90, false)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.consumer.Handle(ctx, []event.Event{erased}); !errors.Is(err, context.Canceled) {
			t.Fatalf("handled although its time was over: %v", err)
		}
		r.handle(erased)
		if found := left(t, d); len(found) > 0 {
			t.Error(found)
		}
	})
}
