package license_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// planted are what must be found nowhere after an erasure.
var planted = []string{
	"planted-id@example.com", "Planted Name", "planted@mail.example", "planted-street", "Planted Laptop",
	"planted-label",
	"planted-variable", "planted-session", "198.51.100.77", "planted-metadata",
}

// plant makes a customer with a license on which all of planted is stored.
func (w *world) plant() (id, key string) {
	w.t.Helper()
	made := w.manage("POST", "", `{"customer_id":"planted-id@example.com","max_devices":5,`+
		`"metadata":{"who":"planted-metadata"}}`)
	w.must(made, http.StatusCreated)
	id, key = made.body["license_id"].(string), made.body["license_key"].(string)
	w.must(w.customers("PUT", "/planted-id@example.com",
		`{"name":"Planted Name","email":"planted@mail.example","address":{"line1":"planted-street"}}`), http.StatusOK)
	w.must(w.post("activate", fmt.Sprintf(`{"license_key":%q,"hardware_id":"h","device_name":"Planted Laptop",
		"session_id":"planted-session",
		"variables":{"v":"planted-variable"}}`, key), "X-Forwarded-For", "198.51.100.77"), http.StatusCreated)
	devices := w.manage("GET", "/"+id+"/devices", "")
	deviceID := devices.body["devices"].([]any)[0].(map[string]any)["device_id"].(string)
	w.must(w.manage("PATCH", "/"+id+"/devices/"+deviceID, `{"label":"planted-label"}`), http.StatusOK)
	w.must(w.manage("POST", "/"+id+"/suspend", `{"reason":"planted-label"}`), http.StatusOK)
	w.must(w.manage("PATCH", "/"+id, `{"metadata":{"who":"planted-metadata","n":2}}`), http.StatusOK)
	return id, key
}

// stored are the tables in which one of texts stands.
func (w *world) stored(texts []string) (tables []string) {
	w.t.Helper()
	for table, rows := range dump(w.t, w.db) {
		for _, text := range texts {
			if strings.Contains(rows, text) {
				tables = append(tables, table+": "+text)
			}
		}
	}
	slices.Sort(tables)
	return tables
}

// dump is the rows of all tables of a database as text.
func dump(t testing.TB, d *db.DB) map[string]string {
	t.Helper()
	names := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if d.Engine() == db.Postgres {
		names = `SELECT table_name FROM information_schema.tables
			WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`
	}
	var tables []string
	if err := d.Read(t.Context()).Raw(names).Scan(&tables).Error; err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	all := map[string]string{}
	for _, table := range tables {
		var rows []map[string]any
		if err := d.Read(t.Context()).Session(&gorm.Session{}).Table(table).Find(&rows).Error; err != nil {
			t.Fatal(table, err)
		}
		for _, row := range rows {
			for _, value := range row {
				if raw, ok := value.([]byte); ok {
					value = string(raw)
				}
				all[table] += fmt.Sprint(value, "\n")
			}
		}
	}
	return all
}

func TestErase(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.plant()
		user := func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec(`INSERT INTO users (id, customer_id, email, email_folded, name, created_at)
				VALUES (?, ?, ?, ?, ?, ?)`,
				unknown, planted[0], planted[2], planted[2], planted[1], w.clock.Now()).Error
		}
		if err := w.db.Tx(w.t.Context(), user); err != nil {
			w.t.Fatal(err)
		}
		other, _ := w.create(1, 0)
		if before := w.stored(planted[:8]); len(before) < 8 {
			w.t.Fatalf("not planted: %v", before)
		}
		events := len(w.logged(id))
		w.clock.Advance(time.Minute)
		erased := w.customers("POST", "/planted-id@example.com/erase", "", "Idempotency-Key", "k")
		w.want(erased, http.StatusOK, "")
		opaque := erased.body["customer_id"].(string)
		if !strings.HasPrefix(opaque, "erased-") || erased.body["email"] != nil || erased.body["erased_at"] == nil {
			w.t.Errorf("%s", erased.raw)
		}
		testkit.Eventually(w.t, patience, func() error {
			if left := w.stored(planted); len(left) > 0 {
				return fmt.Errorf("left: %v", left)
			}
			return nil
		})
		again := w.customers("POST", "/planted-id@example.com/erase", "", "Idempotency-Key", "k")
		if again.body["customer_id"] != opaque {
			w.t.Errorf("again: %s", again.raw)
		}
		w.want(w.customers("POST", "/planted-id@example.com/erase", ""), http.StatusNotFound, "CUSTOMER_NOT_FOUND")
		got := w.customers("GET", "/"+opaque, "")
		if got.body["licenses"].(map[string]any)["suspended"] != 1.0 {
			w.t.Errorf("%s", got.raw)
		}
		license := w.get(id)
		if license["customer_id"] != opaque || license["current_devices"] != 1.0 || len(w.logged(id)) != events+1 {
			w.t.Errorf("%v, %v", license, w.logged(id))
		}
		if w.get(other)["customer_id"] == opaque {
			w.t.Error("another customer was erased")
		}
		w.await(func(e event.Event) bool { return e.Type == "customer.erased" && e.Subject == id })
		if entry := string(w.audited("customer.erase").Data); strings.Contains(entry, "planted") {
			w.t.Errorf("%s", entry)
		}
		w.want(w.manage("POST", "/"+id+"/reinstate", ""), http.StatusOK, "")
		w.want(w.post("validate", device(key, "h")), http.StatusOK, "")
	})
}

// TestEraseTelemetryThatWaits: what of telemetry waits for the broker is erased where it waits, also what is stored for
// later right after the erasure; what comes later stays.
func TestEraseTelemetryThatWaits(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		id, _ := w.plant()
		erasedAt := w.clock.Now()
		putAside := func(at time.Time, name string) {
			waiting, err := event.New("latchkey/license", id, at, &eventsv1.LicenseValidated{
				LicenseId: id, HardwareId: "waits", DeviceName: name, Ip: planted[8],
			})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := event.EncodeBatch([]event.Event{waiting})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.db.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
				return tx.Exec(`INSERT INTO telemetry_spill (events, bytes, payload) VALUES (1, ?, ?)`, len(payload),
					string(payload)).Error
			}); err != nil {
				t.Fatal(err)
			}
		}
		putAside(erasedAt, planted[4])
		w.want(w.customers("POST", "/planted-id@example.com/erase", ""), http.StatusOK, "")
		if left := w.stored(planted); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		putAside(erasedAt, planted[4])
		putAside(erasedAt.Add(time.Second), "Spoken anew")
		w.customers("PUT", "/next", `{"name":"Next"}`)
		w.clock.Advance(time.Minute)
		w.want(w.customers("POST", "/next/erase", ""), http.StatusOK, "")
		if left := w.stored(planted[:8]); len(left) > 0 {
			t.Errorf("what was put aside later left: %v", left)
		}
		if kept := w.stored([]string{"Spoken anew"}); len(kept) != 1 {
			t.Errorf("what was said later stands in %v", kept)
		}
		if open := w.stored([]string{"waits"}); len(open) != 1 {
			t.Errorf("the telemetry stands in %v", open)
		}
	})
}

// TestEraseACustomerWhoseLicenseMoved: what a license says of its present customer stays.
func TestEraseACustomerWhoseLicenseMoved(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.plant()
		w.want(w.manage("PATCH", "/"+id, `{"customer_id":"next"}`), http.StatusOK, "")
		w.want(w.customers("POST", "/planted-id@example.com/erase", ""), http.StatusOK, "")
		testkit.Eventually(w.t, patience, func() error {
			if left := w.stored(planted[:4]); len(left) > 0 {
				return fmt.Errorf("left: %v", left)
			}
			return nil
		})
		if l := w.get(id); l["customer_id"] != "next" || l["metadata"].(map[string]any)["who"] != "planted-metadata" {
			w.t.Errorf("%v", l)
		}
		e := w.await(func(e event.Event) bool { return e.Type == "customer.erased" && e.Subject == id })
		if !strings.Contains(string(e.Data), `"had":true`) {
			w.t.Errorf("%s", e.Data)
		}
	})
}

func TestErasuresThatAreRefused(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.plant()
		w.want(w.customers("POST", "/planted-id@example.com/erase", "", "If-Match", `"7"`),
			http.StatusPreconditionFailed, "VERSION_MISMATCH")
		w.want(w.customers("POST", "/planted-id@example.com/erase", `{"x":1}`), http.StatusBadRequest,
			"VALIDATION_ERROR")
		w.want(w.customers("POST", "/%00/erase", ""), http.StatusNotFound, "CUSTOMER_NOT_FOUND")
		if left := w.stored(planted[:8]); len(left) < 8 {
			w.t.Errorf("a refused call erased: %v", left)
		}
	})
}
