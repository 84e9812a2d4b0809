package license_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

// TestAdministratorsKnowFormerIDs of a device as the calls of devices do.
func TestAdministratorsKnowFormerIDs(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		id, key := w.with(`"max_devices":1,"device_match":"two"`)
		same := components("c", "d")
		w.want(w.post("activate", says(key, "old", same)), http.StatusCreated, "")
		w.want(w.post("validate", says(key, "new", same)), http.StatusOK, "")
		for _, by := range []string{"hardware_id", "search"} {
			for _, hardwareID := range []string{"old", "new"} {
				if _, total := w.list(url.Values{by: {hardwareID}}); total != 1 {
					w.t.Errorf("%s %s finds %d", by, hardwareID, total)
				}
			}
		}
		listed := w.manage("GET", "/"+id+"/devices", "").body["devices"].([]any)[0].(map[string]any)
		one := w.manage("GET", "/"+id+"/devices/"+listed["device_id"].(string), "").body
		for _, d := range []map[string]any{listed, one} {
			if d["hardware_id"] != "new" || fmt.Sprint(d["former_hardware_ids"]) != "[old]" || d["user_id"] != nil {
				w.t.Errorf("%v", d)
			}
		}
		for _, ids := range [][2]string{{"new", "old"}, {"old", "new"}, {"old", "old"}} {
			w.want(w.manage("POST", "/"+id+"/transfer",
				fmt.Sprintf(`{"from_hardware_id":%q,"to_hardware_id":%q}`, ids[0], ids[1])), http.StatusBadRequest,
				"VALIDATION_ERROR")
		}
		w.want(w.manage("POST", "/"+id+"/transfer", `{"from_hardware_id":"old","to_hardware_id":"other"}`),
			http.StatusOK, "")
		w.want(w.post("validate", device(key, "other")), http.StatusOK, "")
		w.want(w.manage("POST", "/"+id+"/transfer", `{"from_hardware_id":"other","to_hardware_id":"old"}`),
			http.StatusOK, "")
		w.want(w.post("validate", device(key, "new")), http.StatusOK, "")
		left := w.manage("POST", "/"+id+"/devices/deactivate", `{"hardware_id":"old"}`)
		w.want(left, http.StatusOK, "")
		if left.body["hardware_id"] != "new" {
			w.t.Errorf("%s", left.raw)
		}
		w.inUse(id, 0)
	})
}

// TestAFileNamesTheIDThatItIsFor in the answer as in the file.
func TestAFileNamesTheIDThatItIsFor(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"max_devices":1,"device_match":"two"`)
		same := components("c", "d")
		w.want(w.post("activate", says(key, "old", same)), http.StatusCreated, "")
		w.want(w.post("validate", says(key, "new", same)), http.StatusOK, "")
		made := w.manage("POST", "/"+id+"/license-file", `{"hardware_ids":["old"]}`)
		w.want(made, http.StatusCreated, "")
		payload, err := w.verify(w.root(), made, "old")
		if err != nil {
			w.t.Fatal(err)
		}
		if got := fmt.Sprint(made.body["hardware_ids"], payload.Machines); got != "[old] [old]" {
			w.t.Errorf("the answer and the file name %s", got)
		}
	})
}

// TestAnIDWithASeatOfItsOwnIsNoFormerOne of another device, for nobody: not while it has the seat, not after it.
func TestAnIDWithASeatOfItsOwnIsNoFormerOne(t *testing.T) {
	same := components("c", "d")
	for name, takeSeat := range map[string]func(w *world, id, key string){
		"by a file": func(w *world, id, key string) {
			w.must(w.manage("POST", "/"+id+"/license-file", `{"hardware_ids":["old"]}`), http.StatusCreated)
			w.must(w.post("validate", says(key, "new", same)), http.StatusOK)
			w.deactivate(id, "old")
			w.must(w.post("activate", device(key, "old")), http.StatusCreated)
			w.must(w.post("activate", device(key, "new")), http.StatusCreated)
		},
		"without recognition": func(w *world, id, key string) {
			w.must(w.post("validate", says(key, "new", same)), http.StatusOK)
			w.update(id, `{"device_match":null}`)
			if got := w.post("validate", device(key, "old")); got.body["valid"] != false {
				w.t.Errorf("%s", got.raw)
			}
			if _, total := w.list(url.Values{"hardware_id": {"old"}}); total != 0 {
				w.t.Errorf("the list finds %d", total)
			}
			w.must(w.manage("POST", "/"+id+"/devices/deactivate", `{"hardware_id":"old"}`), http.StatusNotFound)
			w.wantCalled(id, "new []")
			w.must(w.post("activate", device(key, "old")), http.StatusCreated)
			w.update(id, `{"device_match":"two"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				w.unlimitedCalls()
				id, key := w.with(`"max_devices":3,"device_match":"two"`)
				w.must(w.post("activate", says(key, "old", same)), http.StatusCreated)
				takeSeat(w, id, key)
				w.wantCalled(id, "new []", "old []")
				left := w.manage("POST", "/"+id+"/devices/deactivate", `{"hardware_id":"old"}`)
				w.must(left, http.StatusOK)
				if left.body["hardware_id"] != "old" {
					w.t.Errorf("%s", left.raw)
				}
				for hardwareID, valid := range map[string]bool{"old": false, "new": true} {
					if got := w.post("validate", device(key, hardwareID)); got.body["valid"] != valid {
						w.t.Errorf("%s: %s", hardwareID, got.raw)
					}
				}
				for _, by := range []string{"hardware_id", "search"} {
					if _, total := w.list(url.Values{by: {"old"}}); total != 0 {
						w.t.Errorf("%s finds %d", by, total)
					}
				}
			})
		})
	}
}
