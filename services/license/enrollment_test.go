package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license"
)

// enroll makes an enrollment key; rest is further members, each after a comma.
func (w *world) enroll(id, rest string) (keyID, key string) {
	w.t.Helper()
	made := w.manage(http.MethodPost, "/"+id+"/enrollment-keys", `{"label":"room"`+rest+`}`)
	w.must(made, http.StatusCreated)
	return made.body["enrollment_key_id"].(string), made.body["enrollment_key"].(string)
}

// An enrollment key serves the devices that came by it, and no others; the license key serves all.
func TestAnEnrollmentKeyServesItsOwnDevices(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = nil
		id, key := w.create(10, 0)
		_, mine := w.enroll(id, "")
		_, other := w.enroll(id, "")
		w.want(w.post("activate", device(key, "by-license")), http.StatusCreated, "")
		w.want(w.post("activate", device(mine, "by-mine")), http.StatusCreated, "")
		w.want(w.post("activate", device(mine, "by-mine")), http.StatusConflict, "ALREADY_ACTIVATED")
		for _, k := range []string{mine, strings.ToLower(mine), key} {
			if got := w.post("validate", device(k, "by-mine")); got.body["valid"] != true {
				t.Errorf("%s", got.raw)
			}
		}
		if got := w.post("validate", device(mine, "new")); got.body["error_code"] != "DEVICE_NOT_ACTIVATED" {
			t.Errorf("%s", got.raw)
		}
		for _, foreign := range []string{device(other, "by-mine"), device(mine, "by-license")} {
			for _, endpoint := range []string{"validate", "activate", "deactivate"} {
				w.want(w.post(endpoint, foreign), http.StatusForbidden, "ENROLLMENT_KEY_INVALID")
			}
		}
		w.want(w.post("deactivate", device(key, "by-license")), http.StatusOK, "")
		w.want(w.post("activate", device(mine, "by-license")), http.StatusForbidden, "ENROLLMENT_KEY_INVALID")
		w.want(w.post("deactivate", device(mine, "by-mine")), http.StatusOK, "")
		w.want(w.post("activate", device(mine, "by-mine")), http.StatusCreated, "")
		w.transfer(id, "by-mine", "its-successor")
		w.want(w.post("validate", device(mine, "its-successor")), http.StatusOK, "")
		if w.found(mine) != 1 {
			t.Error("the enrollment key does not find the license")
		}
	})
}

// Its own limit and that of the license both hold, and its end at that instant.
func TestTheBoundsOfAnEnrollmentKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = nil
		id, _ := w.create(3, 0)
		end := w.clock.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
		_, two := w.enroll(id, `,"max_devices":2,"expires_at":"`+end+`"`)
		_, many := w.enroll(id, `,"max_devices":100`)
		w.want(w.post("activate", device(two, "1")), http.StatusCreated, "")
		w.want(w.post("activate", device(two, "2")), http.StatusCreated, "")
		w.want(w.post("activate", device(two, "3")), http.StatusForbidden, "ENROLLMENT_KEY_INVALID")
		w.want(w.post("activate", device(many, "3")), http.StatusCreated, "")
		w.want(w.post("activate", device(many, "4")), http.StatusForbidden, "DEVICE_LIMIT_EXCEEDED")
		w.want(w.post("deactivate", device(two, "1")), http.StatusOK, "")
		w.want(w.post("activate", device(two, "5")), http.StatusCreated, "")
		w.want(w.post("validate", device(two, "2")), http.StatusOK, "")
		w.clock.Advance(time.Hour)
		w.want(w.post("validate", device(two, "2")), http.StatusForbidden, "ENROLLMENT_KEY_INVALID")
		w.want(w.post("deactivate", device(two, "2")), http.StatusForbidden, "ENROLLMENT_KEY_INVALID")
	})
}

// A deleted key is refused on every replica; its devices go on by the license key.
func TestDeleteAnEnrollmentKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = nil
		other := w.replica()
		id, key := w.create(5, 0)
		keyID, enrollment := w.enroll(id, "")
		w.want(w.post("activate", device(enrollment, "pc")), http.StatusCreated, "")
		w.want(other.post("validate", device(enrollment, "pc")), http.StatusOK, "")
		path := "/" + id + "/enrollment-keys"
		listed := w.manage(http.MethodGet, path, "")
		shown := listed.body["enrollment_keys"].([]any)[0].(map[string]any)
		if shown["current_devices"] != 1.0 || shown["label"] != "room" || strings.Contains(listed.raw, enrollment) {
			t.Errorf("%s", listed.raw)
		}
		w.want(w.manage(http.MethodDelete, path+"/"+keyID, ""), http.StatusOK, "")
		w.want(w.manage(http.MethodDelete, path+"/"+keyID, ""), http.StatusNotFound, "NOT_FOUND")
		w.want(w.manage(http.MethodDelete, path+"/x", ""), http.StatusNotFound, "NOT_FOUND")
		w.want(w.post("validate", device(enrollment, "pc")), http.StatusForbidden, "ENROLLMENT_KEY_INVALID")
		w.want(w.post("activate", device(enrollment, "new")), http.StatusForbidden, "ENROLLMENT_KEY_INVALID")
		testkit.Eventually(t, patience, func() error {
			if got := other.post("validate",
				device(enrollment, "pc")); got.body["error_code"] != "ENROLLMENT_KEY_INVALID" {
				return fmt.Errorf("the other replica answers %s", got.raw)
			}
			return nil
		})
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		if left := w.manage(http.MethodGet, path, ""); left.body["total"] != 0.0 {
			t.Errorf("%s", left.raw)
		}
		if w.found(enrollment) != 0 {
			t.Error("a deleted key finds the license")
		}
	})
}

// Forty devices at once, on two processes, by keys with 7 and 5 seats and by the license key, on a license with 20
// seats.
func TestEnrollmentRace(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		w.auth.limit = nil
		other := w.replica()
		id, key := w.create(20, 0)
		_, seven := w.enroll(id, `,"max_devices":7`)
		_, five := w.enroll(id, `,"max_devices":5`)
		var in [3]atomic.Int32
		var running sync.WaitGroup
		for i := range 3 * 40 {
			running.Go(func() {
				process, by := []*world{w, other}[i%2], []string{seven, five, key}[i%3]
				got := process.persist(func() answer {
					return process.post("activate", device(by, fmt.Sprintf("pc-%d", i)))
				})
				if got.status == http.StatusCreated {
					in[i%3].Add(1)
				}
			})
		}
		running.Wait()
		if n := in[0].Load(); n > 7 {
			t.Errorf("%d devices by the key for 7", n)
		}
		if n := in[1].Load(); n > 5 {
			t.Errorf("%d devices by the key for 5", n)
		}
		if all := in[0].Load() + in[1].Load() + in[2].Load(); all != 20 || w.get(id)["current_devices"] != 20.0 {
			t.Errorf("%d devices got in, %v are counted, want 20", all, w.get(id)["current_devices"])
		}
	})
}

// Leases, consumption and descriptions by an enrollment key are for its devices, too.
func TestEnrollmentKeysInOtherCalls(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = nil
		made := w.manage(http.MethodPost, "", `{"customer_id":"a","max_devices":5,"counters":[{"name":"n","limit":9}],
			"floating":{"slots":5,"activation":"none"}}`)
		w.want(made, http.StatusCreated, "")
		id, key := made.body["license_id"].(string), made.body["license_key"].(string)
		_, enrollment := w.enroll(id, "")
		w.want(w.post("activate", device(key, "foreign")), http.StatusCreated, "")
		w.want(w.post("activate", device(enrollment, "own")), http.StatusCreated, "")
		body := func(hardwareID, rest string) string {
			return fmt.Sprintf(`{"license_key":%q,"hardware_id":%q%s}`, enrollment, hardwareID, rest)
		}
		const refused = "ENROLLMENT_KEY_INVALID"
		w.want(w.post("consume", body("own", `,"counter":"n"`)), http.StatusOK, "")
		w.want(w.post("consume", body("foreign", `,"counter":"n"`)), http.StatusForbidden, refused)
		w.want(w.post("leases", body("own", "")), http.StatusCreated, "")
		w.want(w.post("leases", body("foreign", "")), http.StatusForbidden, refused)
		w.want(w.post("leases", body("new", "")), http.StatusForbidden, refused)
		w.want(w.post("license-file", body("foreign", "")), http.StatusForbidden, refused)
		variables := func(hardwareID string) answer {
			return w.call(http.MethodPut, "/api/v1/license/devices/variables",
				body(hardwareID, `,"variables":{"a":"b"}`), "X-API-Key", w.auth.apiKey)
		}
		w.want(variables("own"), http.StatusOK, "")
		w.want(variables("foreign"), http.StatusForbidden, refused)
	})
}

func TestEnrollmentKeyInput(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t, license.Migrations...))
	id, _ := w.create(1, 0)
	path := "/" + id + "/enrollment-keys"
	for _, bad := range []string{
		`{}`, `{"label":""}`, `{"label":"` + strings.Repeat("x", 256) + `"}`, `{"label":"a","max_devices":0}`,
		`{"label":"a","max_devices":1000001}`, `{"label":"a","expires_at":"2001-01-01"}`,
		`{"label":"a","expires_at":"soon"}`,
		`{"label":"a","enrollment_key":"ENR-1"}`, `{"label":"a\u0000"}`,
	} {
		w.want(w.manage(http.MethodPost, path, bad), http.StatusBadRequest, "VALIDATION_ERROR")
	}
	for range 100 {
		w.enroll(id, "")
	}
	w.want(w.manage(http.MethodPost, path, `{"label":"a"}`), http.StatusBadRequest, "VALIDATION_ERROR")
	w.want(w.manage(http.MethodPost, "/"+unknown+"/enrollment-keys", `{"label":"a"}`), http.StatusNotFound,
		"LICENSE_NOT_FOUND")
	w.want(w.manage(http.MethodGet, "/"+unknown+"/enrollment-keys", ""), http.StatusNotFound, "LICENSE_NOT_FOUND")
}

// An imported license key must not take the devices of an enrollment key to another license.
func TestAnEnrollmentKeyIsNoLicenseKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(1, 0)
		_, key := w.enroll(id, "")
		made := w.manage(http.MethodPost, "", fmt.Sprintf(`{"customer_id":"other","license_key":%q}`, key))
		w.want(made, http.StatusConflict, "")
	})
}
