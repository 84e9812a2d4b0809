package license_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/proto/errcode"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// says is the body of a call of a device, with more members.
func says(key, hardwareID string, more map[string]any) string {
	body := map[string]any{"license_key": key, "hardware_id": hardwareID}
	maps.Copy(body, more)
	b, _ := json.Marshal(body)
	return string(b)
}

func components(values ...string) map[string]any {
	named := map[string]any{}
	for i, name := range []string{"cpu", "disk", "board", "mac"} {
		if i < len(values) {
			named[name] = values[i]
		}
	}
	return map[string]any{"components": named}
}

// with makes a license with these terms.
func (w *world) with(terms string) (id, key string) {
	w.t.Helper()
	made := w.manage(http.MethodPost, "", `{"customer_id":"acme",`+terms+`}`)
	w.must(made, http.StatusCreated)
	return made.body["license_id"].(string), made.body["license_key"].(string)
}

// blocks asks for blocks at admin.
func (w *world) blocks(method, path, body string) answer {
	w.t.Helper()
	return w.ask(w.admin, method, "/api/v1/admin/blocks"+path, body)
}

func (w *world) inUse(id string, want int) {
	w.t.Helper()
	if got := w.get(id)["current_devices"]; got != float64(want) {
		w.t.Errorf("%v seats are taken, want %d", got, want)
	}
}

func TestBlocks(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(9, 0)
		other, otherKey := w.create(9, 0)
		for _, hw := range []string{"desk", "lap"} {
			w.want(w.post("activate", says(key, hw, components("c-"+hw, "d-"+hw))), http.StatusCreated, "")
			w.want(w.post("activate", device(otherKey, hw)), http.StatusCreated, "")
		}
		good := func(key, hw string) {
			w.t.Helper()
			if got := w.post("validate", device(key, hw)); got.status != 200 || got.body["valid"] != true {
				w.t.Errorf("%d %s", got.status, got.raw)
			}
		}
		bad := func(key, hw string) {
			w.t.Helper()
			got := w.post("validate", device(key, hw))
			w.want(got, http.StatusForbidden, errcode.DeviceBlocked)
			if got.body["valid"] != false {
				w.t.Errorf("valid is not false: %s", got.raw)
			}
		}
		w.want(w.products("POST", "", `{"code":"another"}`), http.StatusCreated, "")
		for _, test := range []struct {
			block       string
			desk, other bool // are refused
			newDevice   bool
		}{
			{`{"hardware_id":"desk","reason":"x"}`, true, true, false},
			{`{"hardware_id":"desk","reason":"x","license_id":"` + id + `"}`, true, false, false},
			{`{"hardware_id":"desk","reason":"x","product":"another"}`, false, false, false},
			{`{"hardware_id":"desk","reason":"x","product":"default"}`, true, true, false},
			{`{"network":"192.0.2.0/24","reason":"x","license_id":"` + other + `"}`, false, true, false},
			{`{"network":"192.0.2.1","reason":"x"}`, true, true, true},
			{`{"network":"2001:db8::/32","reason":"x"}`, false, false, false},
			{`{"component":{"name":"disk","value":"d-desk"},"reason":"x"}`, true, false, false},
			{`{"component":{"name":"cpu","value":"d-desk"},"reason":"x"}`, false, false, false},
			{`{"hardware_id":"fresh","reason":"x"}`, false, false, true},
			{`{"component":{"name":"disk","value":"d-fresh"},"reason":"x"}`, false, false, true},
		} {
			made := w.blocks("POST", "", test.block)
			w.want(made, http.StatusCreated, "")
			for k, refused := range map[string]bool{key: test.desk, otherKey: test.other} {
				if refused {
					bad(k, "desk")
				} else {
					good(k, "desk")
				}
			}
			if test.newDevice {
				w.want(w.post("activate", says(key, "fresh", components("c", "d-fresh"))), 403, errcode.DeviceBlocked)
				w.inUse(id, 2)
			}
			w.want(w.blocks("DELETE", "/"+made.body["block_id"].(string), ""), http.StatusOK, "")
			good(key, "desk")
			good(otherKey, "desk")
		}
		w.eventually(eventsv1.TypeDeviceBlocked)
		w.eventually(eventsv1.TypeDeviceUnblocked)
		w.audited("device.block")
		w.audited("device.unblock")
	})
}

func TestABlockEnds(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "desk")), http.StatusCreated, "")
		until := w.clock.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		w.want(w.blocks("POST", "", `{"hardware_id":"desk","reason":"x","until":"`+until+`"}`), http.StatusCreated, "")
		w.want(w.post("validate", device(key, "desk")), http.StatusForbidden, errcode.DeviceBlocked)
		w.clock.Advance(time.Hour)
		w.want(w.post("validate", device(key, "desk")), http.StatusOK, "")
	})
}

func TestBadBlocks(t *testing.T) {
	eachWorld(t, func(w *world) {
		for body, field := range map[string]string{
			`{"reason":"x"}`: "hardware_id",
			`{"reason":"x","hardware_id":"a","network":"192.0.2.1"}`: "hardware_id",
			`{"hardware_id":"a"}`:                                             "reason",
			`{"reason":"x","network":"192.0.2.1/33"}`:                         "network",
			`{"reason":"x","network":"fe80::1%eth0"}`:                         "network",
			`{"reason":"x","component":{"name":"","value":"x"}}`:              "component",
			`{"reason":"x","component":{"name":"disk"}}`:                      "component",
			`{"reason":"x","component":{"name":"disk","value":"0000-0000"}}`:  "component",
			`{"reason":"x","hardware_id":"a","license_id":"no"}`:              "license_id",
			`{"reason":"x","hardware_id":"a","until":"2001-01-01"}`:           "until",
			`{"reason":"x","hardware_id":"a","blocked":true}`:                 "blocked",
			`{"reason":"x","hardware_id":"a","license_id":"` + unknown + `"}`: "license_id",
			`{"reason":"x","hardware_id":"a","product":"nosuch"}`:             "product",
			`{"reason":"x","hardware_id":"a","until":"9999-12-31T00:00:00Z"}`: "until",
		} {
			got := w.blocks("POST", "", body)
			w.want(got, http.StatusBadRequest, errcode.ValidationError)
			fields, _ := got.body["details"].(map[string]any)["fields"].(map[string]any)
			if fields[field] == nil {
				w.t.Errorf("%s: %s", body, got.raw)
			}
		}
		for _, id := range []string{unknown, "no"} {
			w.want(w.blocks("DELETE", "/"+id, ""), http.StatusNotFound, errcode.BlockNotFound)
		}
		if got := w.blocks("GET", "", ""); len(got.body["blocks"].([]any)) != 0 {
			w.t.Errorf("a refusal left %s", got.raw)
		}
	})
}

func TestEnvironment(t *testing.T) {
	eachWorld(t, func(w *world) {
		for terms, rule := range map[string]string{
			`"networks":{"allow":["198.51.100.0/24"],"deny":[]}`: "networks",
			`"networks":{"allow":[],"deny":["192.0.2.1"]}`:       "networks",
			`"networks":{"allow":["192.0.2.0/24"],"deny":[]}`:    "",
			`"countries":{"allow":["DE"]}`:                       "", // no database is configured
			`"prevent_vm":true`:                                  "prevent_vm",
		} {
			id, key := w.with(terms)
			vm := says(key, "desk", map[string]any{"is_vm": true})
			if rule == "" {
				w.want(w.post("activate", vm), http.StatusCreated, "")
				continue
			}
			for _, endpoint := range []string{"activate", "validate"} {
				got := w.post(endpoint, vm)
				w.want(got, http.StatusForbidden, errcode.EnvironmentForbidden)
				if got.body["details"].(map[string]any)["rule"] != rule {
					w.t.Errorf("%s: %s", terms, got.raw)
				}
			}
			w.inUse(id, 0)
		}
	})
}

func TestDevicesAreRecognized(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, test := range []struct {
			match    string
			then     []string
			rebounds bool
		}{
			{"any", []string{"c", "x", "y"}, true},
			{"any", []string{"x", "y", "z"}, false},
			{"any", []string{"c"}, false}, // one alone recognizes nobody
			{"two", []string{"c", "d", "z"}, true},
			{"two", []string{"c", "y", "z"}, false},
			{"most", []string{"c", "d", "z"}, true},
			{"most", []string{"c", "x"}, false},
			{"all", []string{"c", "d", "b", "new"}, true}, // the fourth was not known before
			{"all", []string{"c", "d", "z"}, false},
		} {
			id, key := w.with(`"device_match":"` + test.match + `"`)
			first := w.post("activate", says(key, "old", components("c", "d", "b")))
			w.want(first, http.StatusCreated, "")
			for _, endpoint := range []string{"validate", "activate"} {
				got := w.post(endpoint, says(key, "new-"+endpoint, components(test.then...)))
				switch {
				case !test.rebounds && endpoint == "validate":
					w.want(got, http.StatusOK, errcode.DeviceNotActivated)
				case !test.rebounds:
					w.want(got, http.StatusForbidden, errcode.DeviceLimitExceeded)
				case endpoint == "validate" && got.body["valid"] != true:
					w.t.Errorf("%v: %s", test, got.raw)
				case endpoint == "activate" && (got.status != 201 || got.body["device_id"] != first.body["device_id"]):
					w.t.Errorf("%v: %s", test, got.raw)
				}
			}
			if test.rebounds { // the first id stays an alias
				if got := w.post("validate", device(key, "old")); got.body["valid"] != true {
					w.t.Errorf("%v: %s", test, got.raw)
				}
			}
			w.inUse(id, 1)
		}
		w.eventually(eventsv1.TypeDeviceRebound)
	})
}

func TestPlaceholdersRecognizeNobody(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.with(`"device_match":"any","max_devices":2`)
		none := components("Default string", "To be filled by O.E.M.", "0000-0000")
		w.want(w.post("activate", says(key, "one", none)), http.StatusCreated, "")
		if got := w.post("validate", says(key, "two", none)); got.body["valid"] != false {
			w.t.Errorf("%s", got.raw)
		}
	})
}

func TestOnlyFiveAliases(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.with(`"device_match":"all"`)
		c := components("c", "d")
		w.want(w.post("activate", says(key, "id-0", c)), http.StatusCreated, "")
		for i := 1; i <= 7; i++ {
			w.clock.Advance(time.Minute)
			if got := w.post("validate", says(key, fmt.Sprintf("id-%d", i), c)); got.body["valid"] != true {
				w.t.Fatalf("%d: %s", i, got.raw)
			}
		}
		for i := range 8 {
			got := w.post("validate", device(key, fmt.Sprintf("id-%d", i)))
			if want := i >= 2; got.body["valid"] != want {
				w.t.Errorf("id-%d is valid: %v, want %v", i, got.body["valid"], want)
			}
		}
	})
}

// A device keeps its tokens when it is recognized under another id.
func TestTokensOfARecognizedDevice(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"device_match":"all"`)
		w.want(w.post("activate", says(key, "old", components("c", "d"))), http.StatusCreated, "")
		access := w.bearer(id, "old")
		w.want(w.beat(access), http.StatusOK, "")
		w.want(w.post("validate", says(key, "new", components("c", "d"))), http.StatusOK, "")
		w.want(w.beat(access), http.StatusOK, "")
		w.want(w.post("deactivate", device(key, "old")), http.StatusOK, "")
		w.want(w.beat(access), http.StatusForbidden, errcode.DeviceNotActivated)
	})
}

func TestTransferLimit(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"transfer_limit":1,"max_devices":2`)
		activate := func(hw string) answer { return w.post("activate", device(key, hw)) }
		leave := func(hw string) { w.want(w.post("deactivate", device(key, hw)), http.StatusOK, "") }
		w.want(activate("a"), http.StatusCreated, "")
		leave("a")
		w.want(activate("a"), http.StatusCreated, "") // it comes back: no transfer
		leave("a")
		w.want(activate("b"), http.StatusCreated, "") // follows a
		if used := w.get(id)["transfers_used"]; used != 1.0 {
			w.t.Errorf("%v transfers are used", used)
		}
		w.want(activate("c"), http.StatusCreated, "") // on a seat that nobody left
		leave("c")
		got := activate("d")
		w.want(got, http.StatusForbidden, errcode.TransferLimit)
		move := func(to, more string) answer {
			return w.manage("POST", "/"+id+"/transfer", `{"from_hardware_id":"b","to_hardware_id":"`+to+`"`+more+`}`)
		}
		w.want(move("e", ""), http.StatusForbidden, errcode.TransferLimit)
		w.want(w.manage("POST", "/"+id+"/reset-transfers", ""), http.StatusOK, "")
		w.want(activate("d"), http.StatusCreated, "")
		w.want(move("e", `,"force":true`), http.StatusOK, "")
		if used := w.get(id)["transfers_used"]; used != 1.0 {
			w.t.Errorf("%v transfers are used", used)
		}
		w.audited("license.reset_transfers")
	})
}

func TestTooManyNewDevices(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.with(`"new_devices":{"limit":2,"window_hours":24},"max_devices":null`)
		activate := func(hw string) answer { return w.post("activate", device(key, hw)) }
		start := w.clock.Now()
		w.want(activate("a"), http.StatusCreated, "")
		w.clock.Advance(time.Hour)
		w.want(activate("b"), http.StatusCreated, "")
		got := activate("c")
		w.want(got, http.StatusForbidden, errcode.TooManyNewDevices)
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got.body["details"].(map[string]any)["retry_at"]))
		if err != nil || at.Sub(start.Add(24*time.Hour)).Abs() > time.Millisecond {
			w.t.Errorf("retry_at: %s", got.raw)
		}
		w.want(w.post("deactivate", device(key, "a")), http.StatusOK, "")
		w.want(activate("a"), http.StatusCreated, "") // it is not new
		w.clock.Set(at)
		w.want(activate("c"), http.StatusCreated, "")
		w.want(activate("d"), http.StatusForbidden, errcode.TooManyNewDevices)
	})
}

// Forty devices at once: as many get in as the window and the transfers allow, neither more nor fewer.
func TestChurnUnderRaces(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		w.auth.limit.PerMinute = 0
		for terms, code := range map[string]string{
			`"new_devices":{"limit":7,"window_hours":1},"max_devices":40`: errcode.TooManyNewDevices,
			`"transfer_limit":7,"max_devices":40`:                         errcode.TransferLimit,
		} {
			id, key := w.with(terms)
			taken := 7
			if code == errcode.TransferLimit {
				for i := range 40 {
					w.want(w.post("activate", device(key, fmt.Sprintf("first-%d", i))), http.StatusCreated, "")
				}
				for i := range 40 {
					w.want(w.post("deactivate", device(key, fmt.Sprintf("first-%d", i))), http.StatusOK, "")
				}
			}
			var racing sync.WaitGroup
			answers := make([]answer, 40)
			for i := range answers {
				racing.Go(func() {
					answers[i] = w.persist(func() answer {
						return w.post("activate", device(key, fmt.Sprintf("new-%d", i)))
					})
				})
			}
			racing.Wait()
			in := 0
			for _, a := range answers {
				if a.status == http.StatusCreated {
					in++
				} else {
					w.want(a, http.StatusForbidden, code)
				}
			}
			if in != taken {
				w.t.Errorf("%s: %d got in, want %d", terms, in, taken)
			}
			w.inUse(id, taken)
		}
	})
}

func TestVariablesAndLabels(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 0)
		made := w.post("activate", says(key, "desk", map[string]any{"variables": map[string]any{"room": "4.12"}}))
		w.want(made, http.StatusCreated, "")
		deviceID := made.body["device_id"].(string)
		shown := func() map[string]any {
			got := w.manage("GET", "/"+id+"/devices/"+deviceID, "")
			w.want(got, http.StatusOK, "")
			return got.body
		}
		if v := shown()["variables"].(map[string]any); v["room"] != "4.12" {
			w.t.Errorf("variables: %v", v)
		}
		own := func(method, path, hw string, more map[string]any) answer {
			return w.call(method, "/api/v1/license/devices/"+path, says(key, hw, more), "X-API-Key", w.auth.apiKey)
		}
		w.want(own("PUT", "variables", "desk", map[string]any{"variables": map[string]any{"floor": "4"}}), 200, "")
		if v := shown()["variables"].(map[string]any); v["floor"] != "4" || len(v) != 1 {
			w.t.Errorf("variables: %v", v)
		}
		w.want(own("PATCH", deviceID, "desk", map[string]any{"label": "Reception"}), http.StatusOK, "")
		if shown()["label"] != "Reception" {
			w.t.Errorf("label: %v", shown())
		}
		w.want(w.manage("PATCH", "/"+id+"/devices/"+deviceID, `{"label":null}`), http.StatusOK, "")
		if shown()["label"] != nil {
			w.t.Errorf("label: %v", shown())
		}
		other := own("PATCH", unknown, "desk", map[string]any{"label": "x"})
		w.want(other, 404, errcode.DeviceNotFound)
		if !strings.Contains(other.raw, "this device_id is not") {
			w.t.Errorf("%s", other.raw)
		}
		w.want(own("PATCH", deviceID, "lap", map[string]any{"label": "x"}), 403, errcode.DeviceNotActivated)
		w.want(own("PUT", "variables", "desk", nil), http.StatusBadRequest, errcode.ValidationError)
		many := map[string]any{}
		for i := range 65 {
			many[fmt.Sprint(i)] = "x"
		}
		w.want(own("PUT", "variables", "desk", map[string]any{"variables": many}), 400, errcode.ValidationError)
		for _, path := range []string{"/" + unknown + "/devices/" + deviceID, "/" + id + "/devices/no"} {
			if got := w.manage("PATCH", path, `{"label":"x"}`); got.status != http.StatusNotFound {
				w.t.Errorf("%s: %s", path, got.raw)
			}
		}
		w.eventually(eventsv1.TypeDeviceUpdated)
	})
}

// TestRecognizedAmongMany: what very many devices share tells none from another, and not all of them are looked at; a
// device with its seat, and one by the component that is its own, are recognized all the same.
func TestRecognizedAmongMany(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"max_devices":1,"device_match":"all"`)
		mine := components("cpu", "disk", "board", "mine")
		for i := range 30 {
			former := fmt.Sprint("former-", i)
			activated := w.post("activate", says(key, former, components("cpu", "disk", "board", former)))
			w.want(activated, http.StatusCreated, "")
			w.deactivate(id, former)
		}
		w.want(w.post("activate", says(key, "mine", mine)), http.StatusCreated, "")
		w.want(w.post("validate", says(key, "mine-renamed", mine)), http.StatusOK, "")
		other := w.post("validate", says(key, "other", components("cpu", "disk", "board", "other")))
		w.want(other, http.StatusOK, "DEVICE_NOT_ACTIVATED")
		w.deactivate(id, "mine-renamed")
		w.want(w.post("activate", says(key, "mine-again", mine)), http.StatusCreated, "")
		w.want(w.post("validate", says(key, "mine", mine)), http.StatusOK, "")
	})
}
