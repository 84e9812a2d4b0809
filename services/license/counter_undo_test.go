package license_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// wantRefund undoes an operation and wants to be told so much of what it took from c.
func (w *world) wantRefund(key, operation string, refund int) {
	w.t.Helper()
	undone := w.post("consume/undo", with(key, fmt.Sprintf(`"operation_id":%q`, operation)))
	w.want(undone, http.StatusOK, "")
	if want := fmt.Sprintf("map[c:%d]", refund); fmt.Sprint(undone.body["refunded"]) != want {
		w.t.Errorf("refunded %v, want %s", undone.body["refunded"], want)
	}
}

// TestUndoGivesBackToTheSameCount alone: not to a counter that was made or set since, however much is in it.
func TestUndoGivesBackToTheSameCount(t *testing.T) {
	const terms = `{"limit":10,"per_device":true}`
	for name, anew := range map[string]func(w *world, id string){
		"DELETE and PUT": func(w *world, id string) {
			w.must(w.manage(http.MethodDelete, "/"+id+"/counters/c", ""), http.StatusOK)
			w.must(w.manage(http.MethodPut, "/"+id+"/counters/c", terms), http.StatusOK)
		},
		"PATCH": func(w *world, id string) {
			w.update(id, `{"counters":[]}`)
			w.update(id, `{"counters":[{"name":"c","limit":10,"per_device":true}]}`)
		},
		"set": func(w *world, id string) {
			w.must(w.manage(http.MethodPost, "/"+id+"/counters/c/set", `{"used":0}`), http.StatusOK)
		},
		"reset": func(w *world, id string) {
			w.must(w.manage(http.MethodPost, "/"+id+"/counters/c/reset", `{}`), http.StatusOK)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				id, key := w.metered(`[{"name":"c","limit":10,"per_device":true}]`)
				for _, operation := range []string{"first", "second", "third"} {
					w.must(w.consume(key, fmt.Sprintf(`"counter":"c","amount":3,"operation_id":%q`, operation)),
						http.StatusOK)
					anew(w, id)
				}
				w.must(w.consume(key, `"counter":"c","amount":5,"operation_id":"last"`), http.StatusOK)
				for _, operation := range []string{"first", "second", "third"} {
					w.wantRefund(key, operation, 0)
				}
				w.wantUsed(id, "c", 5)
				if parts := w.counted(id, "c")["devices"]; fmt.Sprint(parts) != "[map[hardware_id:pc used:5]]" {
					w.t.Errorf("parts of devices: %v", parts)
				}
				w.wantRefund(key, "last", 5)
			})
		})
	}
}

// TestCountersLeaveNothingForLong: of a counter that was taken away the number of its period stays, while operations of
// it may be undone.
func TestCountersLeaveNothingForLong(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.metered(`[]`)
		for n := range 3 {
			path := fmt.Sprintf("/%s/counters/c%d", id, n)
			w.must(w.manage(http.MethodPut, path, `{"limit":10}`), http.StatusOK)
			w.must(w.consume(key, fmt.Sprintf(`"counter":"c%d"`, n)), http.StatusOK)
			w.must(w.manage(http.MethodDelete, path, ""), http.StatusOK)
			w.clock.Advance(26 * time.Hour)
		}
		var names []string
		if err := w.db.Read(t.Context()).Table("counters").Pluck("name", &names).Error; err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(names) != "[c2]" {
			t.Errorf("%v are kept, want c2 alone", names)
		}
	})
}
