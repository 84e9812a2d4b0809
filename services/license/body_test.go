package license_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/event"
)

// A client that sends null for what it does not know is served as if it had sent nothing.
func TestNullIsAbsent(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		nulls := `"device_name":null,"os_info":null,"app_version":null,"session_id":null,"client_time":null`
		body := `{"license_key":"` + key + `","hardware_id":"pc",` + nulls + `}`
		w.want(w.post("activate", body), http.StatusCreated, "")
		w.want(w.post("validate", body), http.StatusOK, "")
		w.want(w.post("validate", `{"license_key":"`+key+`","hardware_id":"pc","os_info":{"name":null}}`),
			http.StatusOK, "")
		bearer := w.bearer(id, "pc")
		w.want(w.post("heartbeat", `{"session_data":null,`+nulls+`}`, bearer...), http.StatusOK, "")
		w.want(w.post("offline-token", `{"duration_hours":null}`, bearer...), http.StatusCreated, "")
	})
}

// JSON has one kind of number, so 24.0 hours are 24 hours.
func TestWholeNumbers(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		for _, hours := range []string{"24.0", "24", "2.4e1"} {
			got := w.post("offline-token", `{"duration_hours":`+hours+`}`, w.bearer(id, "pc")...)
			w.want(got, http.StatusCreated, "")
			if got.body["duration_hours"] != 24.0 {
				t.Errorf("%s: got %v", hours, got.body)
			}
		}
		w.want(w.post("offline-token", `{"duration_hours":24.5}`, w.bearer(id, "pc")...), http.StatusBadRequest,
			"VALIDATION_ERROR")
	})
}

// What files and terminals leave around a key, an id or a token does not count.
func TestIdentifiersAreTrimmed(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc\u00e9")), http.StatusCreated, "")
		for _, k := range []string{key + "\r\n", "\n" + key, "\t" + key, " " + key + " ", "\ufeff" + key,
			key + "\u200b"} {
			got := w.post("validate", device(k, " pce\u0301\n"))
			w.want(got, http.StatusOK, "")
			if got.body["valid"] != true {
				t.Errorf("%q: got %v", k, got.body)
			}
		}
		w.want(w.post("activate", device(key, "pce\u0301 ")), http.StatusConflict, "ALREADY_ACTIVATED")
		w.want(w.post("validate", `{"license_key":"`+key+`","hardware_id":" \n"}`), http.StatusBadRequest,
			"VALIDATION_ERROR")
		offline := w.post("offline-token", "", w.bearer(id, "pc\u00e9")...)
		w.want(offline, http.StatusCreated, "")
		token := offline.body["token"].(string)
		for _, given := range []string{token + `\n`, " " + token, `\ufeff` + token} {
			w.want(w.post("validate-offline", `{"token":"`+given+`"}`), http.StatusOK, "")
		}
		bearer := w.bearer(id, "pc\u00e9")
		bearer[1] = strings.Replace(bearer[1], " ", "   ", 1) + "\u200b"
		w.want(w.post("heartbeat", "", bearer...), http.StatusOK, "")
	})
}

// What anybody may send without an API key is small.
func TestSmallBodiesWithoutAPIKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(1, 0)
		body := `{"x":"` + strings.Repeat("x", 32<<10) + `"}`
		for _, endpoint := range []string{"heartbeat", "offline-token", "validate-offline"} {
			w.want(w.post(endpoint, body, w.bearer(id, "pc")...), http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE")
		}
	})
}

// Whatever a heartbeat's session data holds, it is no failure of the server; of a member given twice the last one
// counts.
func TestSessionDataOfAnyKind(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		for _, data := range []string{
			`{"a":1,"a":2}`, `{"a":{"b":1,"b":[1]}}`, `{"":1}`, `{"a":1e308,"b":-0.0,"c":5e-300}`, `{"a":null}`,
			`{"\u2028":"\ufffe"}`, `null`,
		} {
			w.want(w.post("heartbeat", `{"session_data":`+data+`}`, w.bearer(id, "pc")...), http.StatusOK, "")
		}
		w.await(func(e event.Event) bool {
			return e.Type == "license.heartbeat" && strings.Contains(string(e.Data), `"a":2`)
		})
	})
}
