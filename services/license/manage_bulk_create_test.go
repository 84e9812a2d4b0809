package license_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license"
)

// outcome is how each row ended, in the order of the answer.
func outcome(bulk answer) (rows []string) {
	for _, row := range bulk.body["created"].([]any) {
		rows = append(rows, fmt.Sprint(row.(map[string]any)["index"]))
	}
	for _, row := range bulk.body["failed"].([]any) {
		failed := row.(map[string]any)
		details := failed["details"].(map[string]any)
		for field := range details["fields"].(map[string]any) {
			rows = append(rows, fmt.Sprint(failed["index"], " ", failed["error_code"], " ", field))
		}
	}
	return rows
}

func (w *world) bulk(body string, headers ...string) answer {
	w.t.Helper()
	return w.manage("POST", "/bulk-create", body, headers...)
}

// A row that is wrong in its types, its text or by the rules fails alone, and the others are made.
func TestBulkCreate(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.create(1, 0)
		made := w.bulk(`{"licenses":[{"customer_id":"a"},{"customer_id":"b","max_devices":"many"},{},7,null,
			{"customer_id":"x","metadata":[]},
			{"customer_id":"a\u0000"},{"customer_id":"\ud800"},{"customer_id":"b","metadata":{"n":[1e400]}},
			`+"{\"customer_id\":\"\xff\"}"+`,
			{"customer_id":"c","max_devices":0},{"customer_id":"c","license_key":""},
			{"customer_id":"c","license_key":"OLIVE-TREE-1"}]}`, "Idempotency-Key", "1")
		w.want(made, http.StatusMultiStatus, "")
		want := []string{
			"0", "12", "1 VALIDATION_ERROR max_devices", "2 VALIDATION_ERROR customer_id", "3 VALIDATION_ERROR body",
			"4 VALIDATION_ERROR body",
			"5 VALIDATION_ERROR metadata", "6 VALIDATION_ERROR customer_id", "7 VALIDATION_ERROR customer_id",
			"8 VALIDATION_ERROR metadata.n[0]",
			"9 VALIDATION_ERROR customer_id", "10 VALIDATION_ERROR max_devices", "11 VALIDATION_ERROR license_key",
		}
		if diff := cmp.Diff(want, outcome(made)); diff != "" {
			w.t.Errorf("outcome (-want +got):\n%s", diff)
		}
		if made.body["total"] != 13.0 || made.body["created_count"] != 2.0 || made.body["failed_count"] != 11.0 {
			w.t.Errorf("%s", made.raw)
		}
		for _, row := range made.body["created"].([]any) {
			created := row.(map[string]any)
			kept := w.get(created["license_id"].(string))
			kept["license_key"], kept["index"] = created["license_key"], created["index"]
			if diff := cmp.Diff(kept, created); diff != "" || strings.Contains(created["license_key"].(string), "*") {
				w.t.Errorf("row %v (-kept +answered):\n%s", created["index"], diff)
			}
		}
		if _, total := w.list(nil); total != 3 {
			w.t.Errorf("%d licenses, want 3", total)
		}
	})
}

// TestNullIsAbsentInARow, as it is in a license that is made alone.
func TestNullIsAbsentInARow(t *testing.T) {
	eachWorld(t, func(w *world) {
		nulls := `"product":null,"policy":null,"group_id":null,"license_key":null,"metadata":null,"is_test":null,` +
			`"max_devices":null,"features":null,"expires_at":null,"expires_in_days":null`
		made := w.bulk(`{"licenses":[{"customer_id":"a"},{"customer_id":"a",` + nulls + `}]}`)
		w.must(made, http.StatusCreated)
		rows := made.body["created"].([]any)
		if len(rows) != 2 {
			w.t.Fatalf("%s", made.raw)
		}
		plain, nullish := rows[0].(map[string]any), rows[1].(map[string]any)
		for _, own := range []string{"license_id", "license_key", "index", "created_at", "updated_at", "max_devices"} {
			delete(plain, own)
			delete(nullish, own)
		}
		if diff := cmp.Diff(plain, nullish); diff != "" {
			w.t.Errorf("a row of nulls (-without +with):\n%s", diff)
		}
	})
}

func TestBulkCreateWithAnIdempotencyKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		const rows = `{"licenses":[{"customer_id":"a","license_key":"OLIVE-TREE-1"},{"customer_id":"b",` +
			`"license_key":"olive-tree-1"},7]}`
		first, again := w.bulk(rows, "Idempotency-Key", "once"), w.bulk(rows, "Idempotency-Key", "once")
		if first.status != http.StatusMultiStatus || again.status != first.status || first.raw != again.raw ||
			again.header.Get("Idempotency-Replayed") != "true" {
			w.t.Errorf("first %d %s\nagain %d %s", first.status, first.raw, again.status, again.raw)
		}
		failed := first.body["failed"].([]any)[0].(map[string]any)
		if failed["index"] != 1.0 || failed["error_code"] != "LICENSE_KEY_EXISTS" ||
			fmt.Sprint(failed["details"]) != "map[]" {
			w.t.Errorf("%s", first.raw)
		}
		other := w.bulk(strings.Replace(rows, "7", "8", 1), "Idempotency-Key", "once")
		w.want(other, http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
		if _, total := w.list(nil); total != 1 {
			w.t.Errorf("%d licenses, want 1", total)
		}
	})
}

// A row that nests more deeply than is allowed fails alone, however deep it is and wherever in it that lies.
func TestBulkCreateDeepRows(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t, license.Migrations...))
	nested := func(levels int) string {
		return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
	}
	made := w.bulk(`{"licenses":[{"customer_id":"a","metadata":` + nested(29) + `},
		{"customer_id":"a","metadata":` + nested(30) + `},
		{"customer_id":"a","x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `},
		{"customer_id":` + nested(500) + `},{"customer_id":"b"}]}`)
	w.want(made, http.StatusMultiStatus, "")
	deepest := "metadata" + strings.Repeat(".a", 29)
	want := []string{
		"0", "4", "1 VALIDATION_ERROR " + deepest, "2 VALIDATION_ERROR x" + strings.Repeat("[0]", 29),
		"2 VALIDATION_ERROR x",
		"3 VALIDATION_ERROR customer_id", "3 VALIDATION_ERROR customer_id" + strings.Repeat(".a", 29),
	}
	got := outcome(made)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	w.want(w.bulk(`{"licenses":[{"customer_id":"a"},{"customer_id":"a","metadata":`+nested(40)+`]}`),
		http.StatusBadRequest, "VALIDATION_ERROR")
}

// TestBulkCreateOfNothingIsNotKept: an answer of refusals alone is none to repeat.
func TestBulkCreateOfNothingIsNotKept(t *testing.T) {
	eachWorld(t, func(w *world) {
		const refused, accepted = `{"licenses":[{"customer_id":""},7]}`, `{"licenses":[{"customer_id":"a"}]}`
		for _, body := range []string{refused, refused, accepted} {
			made := w.bulk(body, "Idempotency-Key", "once")
			if made.body["total"] == nil || made.header.Get("Idempotency-Replayed") != "" {
				w.t.Errorf("%s: %d %s, replayed %q", body, made.status, made.raw,
					made.header.Get("Idempotency-Replayed"))
			}
		}
		if _, total := w.list(nil); total != 1 {
			w.t.Errorf("%d licenses, want 1", total)
		}
	})
}

func TestBulkCreateLimits(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t, license.Migrations...))
	made := w.bulk(`{"licenses":[1,2]}`)
	if made.status != http.StatusMultiStatus || made.body["total"] != 2.0 || made.body["failed_count"] != 2.0 {
		t.Errorf("%s", made.raw)
	}
	rows := strings.Repeat(`{"customer_id":"a"},`, 999) + `{"customer_id":"a"}`
	w.want(w.bulk(`{"licenses":[`+rows+`]}`), http.StatusCreated, "")
	for _, bad := range []string{
		`{}`, `{"licenses":null}`, `{"licenses":[]}`, `{"licenses":{}}`, `{"licenses":[` + rows + `,1]}`,
		`{"licenses":[{"customer_id":"a"},{"customer_id":"b"]}`,
		`{"licenses":[{"customer_id":"a"}]}{}`,
		`{"licenses":[{"customer_id":"a"}],"x":"\u0000"}`, `{"x":"` + strings.Repeat("x", 2<<20) + `"}`,
	} {
		w.want(w.bulk(bad), http.StatusBadRequest, "VALIDATION_ERROR")
	}
	w.want(w.bulk(`{"x":"`+strings.Repeat("x", 11<<20)+`"}`), http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE")
	if _, total := w.list(nil); total != 1000 {
		t.Errorf("%d licenses", total)
	}
}
