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
