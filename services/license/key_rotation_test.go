package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// rotate gives a license another key and returns it.
func (w *world) rotate(id string, overlapHours int) string {
	w.t.Helper()
	got := w.manage(http.MethodPost, "/"+id+"/rotate-key", fmt.Sprintf(`{"overlap_hours":%d}`, overlapHours))
	w.must(got, http.StatusOK)
	key, _ := got.body["license_key"].(string)
	if key == "" || strings.Contains(key, "*") {
		w.t.Fatalf("no key in %s", got.raw)
	}
	return key
}

// found tells how many licenses a search by key finds.
func (w *world) found(key string) int {
	w.t.Helper()
	got := w.manage(http.MethodPost, "/search", fmt.Sprintf(`{"license_key":%q}`, key))
	w.must(got, http.StatusOK)
	return len(got.body["licenses"].([]any))
}

// The former key works to the instant of its end, on every replica, and finds the license; seats stay.
func TestRotateKeyWithAnOverlap(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = nil
		other := w.replica()
		id, old := w.create(2, 0)
		w.want(w.post("activate", device(old, "pc")), http.StatusCreated, "")
		w.want(other.post("validate", device(old, "pc")), http.StatusOK, "")
		key := w.rotate(id, 24)
		for _, process := range []*world{w, other} {
			for _, k := range []string{old, key} {
				if got := process.post("validate", device(k, "pc")); got.body["valid"] != true {
					t.Errorf("within the overlap: %s", got.raw)
				}
			}
		}
		w.want(w.post("activate", device(old, "laptop")), http.StatusCreated, "")
		if w.found(old) != 1 || w.found(key) != 1 {
			t.Error("a key does not find the license")
		}
		w.eventually("license.key_rotated")
		w.clock.Advance(24 * time.Hour)
		for _, process := range []*world{w, other} {
			w.want(process.post("validate", device(old, "pc")), http.StatusNotFound, "LICENSE_NOT_FOUND")
			w.want(process.post("activate", device(old, "third")), http.StatusNotFound, "LICENSE_NOT_FOUND")
			w.want(process.post("validate", device(key, "pc")), http.StatusOK, "")
		}
		if w.found(old) != 1 {
			t.Error("a key that has ended finds no license")
		}
	})
}

// A key that has ended and was given to another license opens that at once, on every replica that knew it.
func TestAFormerKeyOfAnotherLicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = nil
		other := w.replica()
		first, old := w.create(1, 0)
		w.want(w.post("activate", device(old, "pc")), http.StatusCreated, "")
		w.rotate(first, 24)
		w.eventually("license.key_rotated")
		for _, process := range []*world{w, other} {
			process.warm(func() answer { return process.post("validate", device(old, "pc")) })
		}
		w.clock.Advance(24 * time.Hour)
		w.want(w.post("validate", device(old, "pc")), http.StatusNotFound, "LICENSE_NOT_FOUND")
		w.with(fmt.Sprintf(`"max_devices":1,"license_key":%q`, old))
		for _, process := range []*world{w, other} {
			w.want(process.post("validate", device(old, "pc")), http.StatusOK, errcode.DeviceNotActivated)
		}
	})
}

// Without an overlap all former keys stop at once, here at the end of the call and elsewhere as soon as the event is
// there; also where the link is down, once memory has ended.
func TestRotateKeyAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = nil
		other, deaf := w.replica(), w.replicaOn(deafBus{w.bus.Bus})
		id, first := w.create(1, 0)
		w.want(w.post("activate", device(first, "pc")), http.StatusCreated, "")
		second := w.rotate(id, 24)
		for _, process := range []*world{w, other, deaf} {
			w.want(process.post("validate", device(first, "pc")), http.StatusOK, "")
			w.want(process.post("validate", device(second, "pc")), http.StatusOK, "")
		}
		third := w.rotate(id, 0)
		for _, key := range []string{first, second} {
			for _, endpoint := range []string{"validate", "activate", "deactivate"} {
				w.want(w.post(endpoint, device(key, "pc")), http.StatusNotFound, "LICENSE_NOT_FOUND")
			}
			testkit.Eventually(t, patience, func() error {
				if got := other.post("validate", device(key, "pc")); got.status != http.StatusNotFound {
					return fmt.Errorf("the other replica answers %d", got.status)
				}
				return nil
			})
		}
		w.clock.Advance(5 * time.Second) // as long as a replica remembers that learns of nothing
		w.want(deaf.post("validate", device(second, "pc")), http.StatusNotFound, "LICENSE_NOT_FOUND")
		w.want(w.post("validate", device(third, "pc")), http.StatusOK, "")
	})
}

// Of the former keys five work at a time: those that end last.
func TestRotateKeyOftenWithinTheOverlap(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = nil
		id, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		keys := []string{key}
		for i := range 7 {
			keys = append(keys, w.rotate(id, 10+i))
		}
		for i, k := range keys {
			status := http.StatusOK
			if i < 2 {
				status = http.StatusNotFound
			}
			if got := w.post("validate", device(k, "pc")); got.status != status {
				t.Errorf("key %d: %d, want %d", i, got.status, status)
			}
		}
	})
}

// A key that still works for the license that had it cannot be brought along for another, and is free when it has
// ended.
func TestAFormerKeyIsTaken(t *testing.T) {
	eachWorld(t, func(w *world) {
		const brought = `{"customer_id":"b","license_key":"OLIVE-TREE-1"}`
		made := w.manage(http.MethodPost, "", strings.Replace(brought, `"b"`, `"a"`, 1))
		w.want(made, http.StatusCreated, "")
		w.rotate(made.body["license_id"].(string), 1)
		w.want(w.manage(http.MethodPost, "", brought), http.StatusConflict, "LICENSE_KEY_EXISTS")
		if _, total := w.list(nil); total != 1 {
			t.Errorf("%d licenses after the refusal", total)
		}
		w.clock.Advance(time.Hour)
		w.want(w.manage(http.MethodPost, "", brought), http.StatusCreated, "")
	})
}

func TestRotateKeyAnswersAndRefusals(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(1, 0)
		path := "/" + id + "/rotate-key"
		first := w.manage(http.MethodPost, path, `{"overlap_hours":1}`, "Idempotency-Key", "once")
		again := w.manage(http.MethodPost, path, `{"overlap_hours":1}`, "Idempotency-Key", "once")
		if first.raw != again.raw || again.header.Get("Idempotency-Replayed") != "true" ||
			first.header.Get("ETag") != `"2"` {
			t.Errorf("first %s\nagain %s", first.raw, again.raw)
		}
		if want := w.clock.Now().Add(time.Hour).UTC().
			Format(time.RFC3339Nano); first.body["former_key_valid_until"] != want {
			t.Errorf("%v, want %s", first.body["former_key_valid_until"], want)
		}
		w.want(w.manage(http.MethodPost, path, `{}`, "If-Match", `"1"`), http.StatusPreconditionFailed,
			"VERSION_MISMATCH")
		for _, bad := range []string{`{"overlap_hours":-1}`, `{"overlap_hours":8761}`, `{"overlap_hours":"1"}`,
			`{"overlap":1}`} {
			w.want(w.manage(http.MethodPost, path, bad), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		w.want(w.manage(http.MethodPost, "/"+unknown+"/rotate-key", `{}`), http.StatusNotFound, "LICENSE_NOT_FOUND")
		if version := w.get(id)["version"]; version != 2.0 {
			t.Errorf("version %v after refusals, want 2", version)
		}
		revealed := w.manage(http.MethodPost, "/"+id+"/reveal-key", `{}`)
		if revealed.body["license_key"] != first.body["license_key"] {
			t.Errorf("revealed %v", revealed.body)
		}
	})
}

// TestFormerKeysAreFound: who reads out a key that was replaced is no stranger to support.
func TestFormerKeysAreFound(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, old := w.create(1, 1)
		found := func(key string) (ids []string) {
			page := w.manage(http.MethodPost, "/search", `{"license_key":"`+key+`"}`)
			for _, l := range page.body["licenses"].([]any) {
				ids = append(ids, l.(map[string]any)["license_id"].(string))
			}
			return ids
		}
		current := w.rotate(id, 0)
		stopped := w.clock.Now().UTC().Format(time.RFC3339)
		w.clock.Advance(time.Minute)
		if got := found(strings.ToLower(old)); len(got) != 1 || got[0] != id {
			t.Errorf("found by the former key: %v", got)
		}
		explained := w.explain(`{"license_key":"` + old + `","hardware_id":"pc"}`)
		failed := explained.failed()
		if explained.body["error_code"] != errcode.LicenseNotFound || failed["check"] != "known" ||
			failed["observed"] != id || !strings.Contains(failed["reason"].(string), "was replaced") ||
			!strings.Contains(failed["reason"].(string), stopped) || explained.body["license"] == nil {
			t.Errorf("explained: %s", explained.raw)
		}
		w.want(w.post("validate", device(old, "pc")), http.StatusNotFound, errcode.LicenseNotFound)
		w.want(w.post("activate", device(current, "pc")), http.StatusCreated, "")
		other, _ := w.made(`{"customer_id":"other","license_key":"` + old + `"}`)
		if got := found(old); len(got) != 1 || got[0] != other {
			t.Errorf("found by the key that another license has: %v", got)
		}
	})
}

// Who comes with a key that the license had, or with its key for another product, guesses none: the refusal is
// published with the license, while the client learns nothing of it.
func TestARefusedKeyOfALicenseIsPublishedWithIt(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		id, old := w.create(1, 0)
		key := w.rotate(id, 0)
		other := `,"product":"other"}`
		for endpoint, eventType := range map[string]string{
			"validate": "license.validation.failed", "activate": "license.activation.refused",
		} {
			for k, ending := range map[string]string{old: "}", key: other, "LIC-000000000000": "}"} {
				hardwareID := endpoint + " by " + k
				body := strings.TrimSuffix(device(k, hardwareID), "}") + ending
				refused := w.post(endpoint, body)
				w.want(refused, http.StatusNotFound, "LICENSE_NOT_FOUND")
				subject := id
				if k == "LIC-000000000000" {
					subject = ""
				}
				e := w.await(func(e event.Event) bool {
					return e.Type == eventType && strings.Contains(string(e.Data), hardwareID)
				})
				if e.Subject != subject || strings.Contains(refused.raw, id) {
					t.Errorf("%s %s: published of %q, answered %s", endpoint, ending, e.Subject, refused.raw)
				}
			}
		}
	})
}
