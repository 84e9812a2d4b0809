package license_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// metered makes a license with counters, and pc activated on it.
func (w *world) metered(counters string) (id, key string) {
	w.t.Helper()
	w.auth.limit = &authv1.RateLimit{}
	made := w.manage(http.MethodPost, "", `{"customer_id":"acme","max_devices":100,"counters":`+counters+`}`)
	w.must(made, http.StatusCreated)
	id, key = made.body["license_id"].(string), made.body["license_key"].(string)
	w.must(w.post("activate", device(key, "pc")), http.StatusCreated)
	return id, key
}

// with is the body of a call of pc with further members.
func with(key, members string) string {
	return strings.TrimSuffix(device(key, "pc"), "}") + "," + members + "}"
}

func (w *world) consume(key, members string) answer { return w.post("consume", with(key, members)) }

// counted is what a counter shows administrators.
func (w *world) counted(id, name string) map[string]any {
	w.t.Helper()
	listed := w.manage(http.MethodGet, "/"+id+"/counters", "")
	w.want(listed, http.StatusOK, "")
	for _, c := range listed.body["counters"].([]any) {
		if c := c.(map[string]any); c["name"] == name {
			return c
		}
	}
	w.t.Fatalf("no counter %s in %s", name, listed.raw)
	return nil
}

func (w *world) wantUsed(id, name string, used int) {
	w.t.Helper()
	if got := w.counted(id, name)["used"]; got != float64(used) {
		w.t.Errorf("%s: %v used, want %d", name, got, used)
	}
}

func TestConsume(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.metered(`[{"name":"exports","limit":5,"overage":1,"reset":"daily"}]`)
		got := w.consume(key, `"counter":"exports","amount":3`)
		w.want(got, http.StatusOK, "")
		midnight := w.clock.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		want := map[string]any{
			"license_id": id, "counter": "exports", "used": 3.0, "limit": 5.0, "remaining": 2.0, "overage_used": 0.0,
			"resets_at": midnight.Format(time.RFC3339), "operation_id": nil,
		}
		for member, value := range want {
			if got.body[member] != value {
				w.t.Errorf("%s is %v, want %v", member, got.body[member], value)
			}
		}
		if got = w.consume(key, `"counter":"exports","amount":3`); got.body["overage_used"] != 1.0 ||
			got.body["remaining"] != 0.0 {
			w.t.Errorf("beyond the limit: %s", got.raw)
		}
		full := w.consume(key, `"counter":"exports"`)
		w.want(full, http.StatusForbidden, "CONSUMPTION_LIMIT_EXCEEDED")
		if d := full.body["details"].(map[string]any); d["used"] != 6.0 || d["limit"] != 5.0 ||
			d["counter"] != "exports" || d["resets_at"] == nil {
			w.t.Errorf("refused with %v", d)
		}
		w.want(w.consume(key, `"counter":"other"`), http.StatusBadRequest, "COUNTER_NOT_FOUND")
		w.want(w.post("consume", device(key, "laptop")[:len(device(key, "laptop"))-1]+`,"counter":"exports"}`),
			http.StatusForbidden, "DEVICE_NOT_ACTIVATED")
		w.wantUsed(id, "exports", 6)
		w.clock.Set(midnight)
		if got = w.consume(key, `"counter":"exports"`); got.body["used"] != 1.0 {
			w.t.Errorf("on the next day: %s", got.raw)
		}
	})
}

func TestConsumeBadInput(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.metered(`[{"name":"c"}]`)
		for _, members := range []string{
			`"amount":1`, `"counter":""`, `"counter":7`, `"counter":"c","entitlement":"e"`,
			`"counter":"c","amount":1.5`, `"counter":"c","amount":"1"`,
			`"counter":"c","amount":9007199254740992`, `"counter":"c","amount":-9007199254740992`,
			`"counter":"c","amount":1e300`,
			`"counter":"c","amount":99999999999999999999`,
			`"counter":"c","amount":-1`, `"counter":"c","operation_id":7`,
			`"counter":"c","operation_id":"` + strings.Repeat("o", 256) + `"`,
			`"counter":"` + strings.Repeat("c", 256) + `"`, `"counter":"c\u0000"`,
		} {
			w.want(w.consume(key, members), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		many := `{`
		for i := range 33 {
			many += fmt.Sprintf(`"c%d":1,`, i)
		}
		for _, members := range []string{
			`"consume":[]`, `"consume":{"c":"1"}`, `"consume":{"c":-1}`,
			`"consume":` + strings.TrimSuffix(many, ",") + `}`, `"entitlements":"e"`,
			`"require_entitlements":[7]`, `"entitlements":["` + strings.Repeat("e", 256) + `"]`,
		} {
			w.want(w.post("validate", with(key, members)), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		for _, members := range []string{`"operation_id":""`, `"x":1`} {
			w.want(w.post("consume/undo", with(key, members)), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		w.want(w.post("consume/undo", with(key, `"operation_id":"unknown"`)), http.StatusNotFound,
			"OPERATION_NOT_FOUND")
		w.wantUsed(id, "c", 0)
	})
}

// TestOperations: the same one answers again and counts once, another one under its id is refused, a refused one is not
// kept.
func TestOperations(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.metered(`[{"name":"c","limit":5}]`)
		_, other := w.metered(`[{"name":"c","limit":5}]`)
		first := w.consume(key, `"counter":"c","amount":2,"operation_id":"o"`)
		w.want(first, http.StatusOK, "")
		w.want(w.consume(key, `"counter":"c","amount":1`), http.StatusOK, "")
		if again := w.consume(key, `"counter":"c","amount":2,"operation_id":"o"`); again.raw != first.raw {
			w.t.Errorf("first %s, again %s", first.raw, again.raw)
		}
		w.want(w.consume(key, `"counter":"c","amount":3,"operation_id":"o"`), http.StatusUnprocessableEntity,
			"IDEMPOTENCY_KEY_REUSED")
		w.want(w.consume(other, `"counter":"c","amount":3,"operation_id":"o"`), http.StatusOK, "")
		w.want(w.consume(key, `"counter":"c","amount":4,"operation_id":"late"`), http.StatusForbidden,
			"CONSUMPTION_LIMIT_EXCEEDED")
		w.want(w.manage("POST", "/"+id+"/counters/c/set", `{"used":0}`), http.StatusOK, "")
		w.want(w.consume(key, `"counter":"c","amount":4,"operation_id":"late"`), http.StatusOK, "")
		w.wantUsed(id, "c", 4)
	})
}

func TestUndo(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.metered(`[{"name":"c","limit":5,"reset":"daily"}]`)
		w.want(w.post("activate", device(key, "laptop")), http.StatusCreated, "")
		w.want(w.consume(key, `"counter":"c","amount":2,"operation_id":"o"`), http.StatusOK, "")
		w.want(w.consume(key, `"counter":"c","amount":1`), http.StatusOK, "")
		laptop := strings.Replace(with(key, `"operation_id":"o"`), `"pc"`, `"laptop"`, 1)
		w.want(w.post("consume/undo", laptop), http.StatusNotFound, "OPERATION_NOT_FOUND")
		for range 2 {
			undone := w.post("consume/undo", with(key, `"operation_id":"o"`))
			w.want(undone, http.StatusOK, "")
			if fmt.Sprint(undone.body["refunded"]) != "map[c:2]" {
				w.t.Errorf("refunded %s", undone.raw)
			}
			w.wantUsed(id, "c", 1)
		}
		if again := w.consume(key, `"counter":"c","amount":2,"operation_id":"o"`); again.body["undone"] != true {
			w.t.Errorf("repeated after the undo: %s", again.raw)
		}
		w.want(w.consume(key, `"counter":"c","amount":3,"operation_id":"yesterday"`), http.StatusOK, "")
		w.clock.Set(w.clock.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour))
		w.want(w.consume(key, `"counter":"c","amount":4`), http.StatusOK, "")
		undone := w.post("consume/undo", with(key, `"operation_id":"yesterday"`))
		if fmt.Sprint(undone.body["refunded"]) != "map[c:0]" {
			w.t.Errorf("of a period that is over: %s", undone.raw)
		}
		w.wantUsed(id, "c", 4)
	})
}

// TestKeysOfDevices: two devices of a license may send the same Idempotency-Key, each names its own operation.
func TestKeysOfDevices(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.metered(`[{"name":"consumptions"}]`)
		w.must(w.post("activate", device(key, "laptop")), http.StatusCreated)
		s := w.licenseSpring("")
		for i, pc := range []string{"pc", "laptop"} {
			for range 2 {
				body := strings.Replace(with(key, `"consume":{"consumptions":3}`), `"pc"`, `"`+pc+`"`, 1)
				w.want(w.post("validate", body, "Idempotency-Key", "1"), http.StatusOK, "")
				s.object(s.ask(http.MethodPost, "add_consumption", fmt.Sprintf(
					`{"product":"default","license_key":%q,"hardware_id":%q,"consumptions":4}`, key, pc),
					"Idempotency-Key", "1"))
			}
			w.wantUsed(id, "consumptions", 7*(i+1))
		}
		w.want(w.post("validate", with(key, `"consume":{"consumptions":4}`), "Idempotency-Key", "1"),
			http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
		for range 2 { // by the key, each device undoes what it did itself
			undone := w.post("consume/undo", with(key, `"operation_id":"1"`))
			w.want(undone, http.StatusOK, "")
			if undone.body["operation_id"] != "1" || fmt.Sprint(undone.body["refunded"]) != "map[consumptions:3]" {
				w.t.Errorf("undone: %s", undone.raw)
			}
			w.wantUsed(id, "consumptions", 11)
		}
	})
}

// TestMeteredValidate validates and counts, or does neither.
func TestMeteredValidate(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.metered(`[{"name":"a","limit":10,"per_device":true},{"name":"b","limit":1}]`)
		got := w.post("validate", with(key, `"consume":{"a":2,"b":1},"operation_id":"o"`))
		w.want(got, http.StatusOK, "")
		counters, _ := got.body["counters"].(map[string]any)
		if a, _ := counters["a"].(map[string]any); got.body["valid"] != true || a["used"] != 2.0 ||
			a["device_used"] != 2.0 || len(counters) != 2 {
			w.t.Errorf("%s", got.raw)
		}
		if again := w.post("validate", with(key, `"consume":{"a":2,"b":1},"operation_id":"o"`)); again.raw != got.raw {
			w.t.Errorf("first %s, again %s", got.raw, again.raw)
		}
		byHeader := func(amount int) answer {
			body := with(key, fmt.Sprintf(`"consume":{"a":%d}`, amount))
			return w.post("validate", body, "Idempotency-Key", "p")
		}
		w.want(byHeader(0), http.StatusOK, "")
		w.want(byHeader(0), http.StatusOK, "")
		w.want(byHeader(1), http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
		w.want(w.post("validate", with(key, `"consume":{"a":0},"operation_id":"p"`)), http.StatusOK, "")
		refused := w.post("validate", with(key, `"consume":{"a":2,"b":1}`))
		w.want(refused, http.StatusForbidden, "CONSUMPTION_LIMIT_EXCEEDED")
		if refused.body["valid"] != false {
			w.t.Errorf("%s", refused.raw)
		}
		stranger := strings.Replace(with(key, `"consume":{"a":1}`), `"pc"`, `"laptop"`, 1)
		if got := w.post("validate", stranger); got.status != http.StatusOK || got.body["valid"] != false {
			w.t.Errorf("without a seat: %s", got.raw)
		}
		w.update(id, `{"is_active":false}`)
		w.want(w.post("validate", with(key, `"consume":{"a":1}`)), http.StatusForbidden, "LICENSE_INACTIVE")
		w.want(w.consume(key, `"counter":"a"`), http.StatusForbidden, "LICENSE_INACTIVE")
		w.wantUsed(id, "a", 2)
		w.wantUsed(id, "b", 1)
		if parts := w.counted(id, "a")["devices"]; fmt.Sprint(parts) != "[map[hardware_id:pc used:2]]" {
			w.t.Errorf("parts of devices: %v", parts)
		}
	})
}

func TestEntitlementsInValidate(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = &authv1.RateLimit{}
		end := w.clock.Now().Add(time.Hour).UTC().Truncate(time.Second)
		made := w.manage(http.MethodPost, "", `{"customer_id":"acme","features":["plain"],`+
			`"entitlements":[{"code":"trial","name":"Trial","expires_at":"`+end.Format(time.RFC3339)+`"}]}`)
		w.want(made, http.StatusCreated, "")
		key := made.body["license_key"].(string)
		active := w.post("activate", device(key, "pc"))
		w.want(active, http.StatusCreated, "")
		asked := with(key, `"entitlements":["plain","trial","other"]`)
		for range 2 {
			got := w.post("validate", asked)
			answers, _ := json.Marshal(got.body["entitlements"])
			want := `{"other":{"error_code":"ENTITLEMENT_MISSING","expires_at":null,"granted":false},` +
				`"plain":{"expires_at":null,"granted":true},` +
				`"trial":{"expires_at":"` + end.Format(time.RFC3339) + `","granted":true}}`
			if string(answers) != want || fmt.Sprint(got.body["features"],
				active.body["features"]) != "[plain trial] [plain trial]" {
				w.t.Errorf("%s, want %s", got.raw, want)
			}
		}
		w.want(w.post("validate", with(key, `"require_entitlements":["plain","trial"]`)), http.StatusOK, "")
		missing := w.post("validate", with(key, `"require_entitlements":["plain","other"]`))
		w.want(missing, http.StatusForbidden, "ENTITLEMENT_MISSING")
		if missing.body["valid"] != false || missing.body["details"].(map[string]any)["entitlement"] != "other" {
			w.t.Errorf("%s", missing.raw)
		}
		w.clock.Set(end)
		w.want(w.post("validate", with(key, `"require_entitlements":["trial"]`)), http.StatusForbidden,
			"ENTITLEMENT_EXPIRED")
		if got := w.post("validate", asked); fmt.Sprint(got.body["features"], got.body["valid"]) != "[plain] true" {
			w.t.Errorf("after its end: %s", got.raw)
		}
	})
}

// TestConsumeRace: 40 devices in two processes, with operations that come twice, while the limit moves and others
// activate.
func TestConsumeRace(t *testing.T) {
	const devices, each, limit, overage = 40, 6, 150, 25
	eachWorldInTurn(t, func(w *world) {
		id, key := w.metered(fmt.Sprintf(`[{"name":"c","limit":%d,"overage":%d}]`, limit, overage))
		both := []*world{w, w.replica()}
		var (
			running sync.WaitGroup
			mu      sync.Mutex
			granted = map[string]float64{} // what the counter showed, by operation
		)
		for i := range devices {
			running.Go(func() {
				for n := range each {
					operation := fmt.Sprintf("%d-%d", i/2, n) // two ask for each
					members := fmt.Sprintf(`"counter":"c","amount":2,"operation_id":%q`, operation)
					got := w.persist(func() answer { return both[i%2].consume(key, members) })
					mu.Lock()
					switch before, twice := granted[operation]; {
					case got.status == http.StatusForbidden && got.body["error_code"] == "CONSUMPTION_LIMIT_EXCEEDED":
					case got.status != http.StatusOK:
						w.t.Errorf("%d %s", got.status, got.raw)
					case twice && before != got.body["used"]:
						w.t.Errorf("%s was counted twice", operation)
					default:
						granted[operation] = got.body["used"].(float64)
					}
					mu.Unlock()
				}
			})
		}
		running.Go(func() {
			for i := range 10 {
				terms, other := fmt.Sprintf(`{"limit":%d,"overage":%d}`, limit-i%3, overage), fmt.Sprint("other-", i)
				moved := w.persist(func() answer { return w.manage("PUT", "/"+id+"/counters/c", terms) })
				w.want(moved, http.StatusOK, "")
				activated := w.persist(func() answer { return w.post("activate", device(key, other)) })
				w.want(activated, http.StatusCreated, "")
			}
		})
		running.Wait()
		used := w.counted(id, "c")["used"].(float64)
		if want := 2 * len(granted); used != float64(want) || used > limit+overage {
			w.t.Errorf("%v used, %d were granted", used, want)
		}
		if len(granted) < (limit+overage)/2-1 {
			w.t.Errorf("only %d of %d operations were granted, although there was room", len(granted), devices/2*each)
		}
		var shown []float64
		for _, n := range granted {
			shown = append(shown, n)
		}
		slices.Sort(shown)
		for i, n := range shown {
			if n != float64(2*(i+1)) {
				w.t.Fatalf("the answers showed %v", shown)
			}
		}
	})
}

func TestManageCounters(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.metered(`[]`)
		put := w.manage("PUT", "/"+id+"/counters/exports", `{"limit":10,"reset":"monthly","allow_negative":true}`)
		w.want(put, http.StatusOK, "")
		if put.body["overage"] != 0.0 || put.body["anchor"] != "calendar" || put.body["used"] != 0.0 ||
			put.body["devices"] != nil {
			w.t.Errorf("%s", put.raw)
		}
		w.want(w.manage("PUT", "/"+id+"/counters/exports", `{"limit":10}`, "If-Match", `"1"`),
			http.StatusPreconditionFailed, "VERSION_MISMATCH")
		if audit := string(w.audited("license.update").Data); !strings.Contains(audit, "exports") {
			w.t.Errorf("audited as %s", audit)
		}
		w.want(w.consume(key, `"counter":"exports","amount":8`), http.StatusOK, "")
		threshold := w.eventually("license.counter.threshold")
		if data := string(threshold.Data); !strings.Contains(data, `"threshold":80`) ||
			!strings.Contains(data, `"license":{`) {
			w.t.Errorf("%s", data)
		}
		corrections := []struct{ action, body, want string }{
			{"adjust", `{"amount":-3,"reason":"failed job"}`, "5 false"}, {"adjust", `{"amount":-9}`, "0 true"},
			{"set", `{"used":20}`, "20 false"}, {"reset", ``, "0 false"},
		}
		for _, c := range corrections {
			got := w.manage("POST", "/"+id+"/counters/exports/"+c.action, c.body)
			w.want(got, http.StatusOK, "")
			if answer := fmt.Sprint(got.body["used"], got.body["clamped"]); answer != c.want {
				w.t.Errorf("%s %s: %s, want %s", c.action, c.body, answer, c.want)
			}
			w.audited("license.counter." + c.action)
		}
		history := w.manage("GET", "/"+id+"/counters/exports/history?per_page=3", "")
		w.want(history, http.StatusOK, "")
		var actions []string
		for _, e := range history.body["history"].([]any) {
			actions = append(actions, e.(map[string]any)["action"].(string))
		}
		if fmt.Sprint(actions, history.body["total"]) != "[reset set adjusted] 4" {
			w.t.Errorf("%s", history.raw)
		}
		rest := w.manage("GET", fmt.Sprintf("/%s/counters/exports/history?cursor=%v", id, history.body["next_cursor"]),
			"")
		if left := rest.body["history"].([]any); len(left) != 1 || rest.body["next_cursor"] != nil {
			w.t.Errorf("%s", rest.raw)
		}
		first := w.manage("POST", "/"+id+"/counters/exports/adjust", `{"amount":2}`, "Idempotency-Key", "k")
		again := w.manage("POST", "/"+id+"/counters/exports/adjust", `{"amount":2}`, "Idempotency-Key", "k")
		if first.raw != again.raw || again.header.Get("Idempotency-Replayed") != "true" {
			w.t.Errorf("first %s, again %s", first.raw, again.raw)
		}
		w.wantUsed(id, "exports", 2)
		w.want(w.manage("DELETE", "/"+id+"/counters/exports", ""), http.StatusOK, "")
		w.want(w.consume(key, `"counter":"exports"`), http.StatusBadRequest, "COUNTER_NOT_FOUND")
		w.want(w.manage("PUT", "/"+id+"/counters/exports", `{"limit":null}`), http.StatusOK, "")
		w.wantUsed(id, "exports", 0)
	})
}

func TestManageCountersBadInput(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.metered(`[{"name":"c"}]`)
		at := "/" + id + "/counters/c"
		for _, body := range []string{
			``, `{}`, `{"overage":5}`,
			`{"limit":-1}`, `{"limit":1.5}`, `{"limit":9007199254740992}`, `{"overage":-1}`, `{"reset":"hourly"}`,
			`{"anchor":"x"}`,
			`{"allow_negative":1}`, `{"name":"d"}`, `{"used":3}`, `[]`, `{"limit":`,
		} {
			w.want(w.ask(w.front(ada), "PUT", managed+at, body), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		for path, bodies := range map[string][]string{
			"/adjust": {`{}`, `{"amount":null}`, `{"amount":"1"}`, `{"amount":9007199254740992}`,
				`{"amount":1,"reason":"` + strings.Repeat("r", 256) + `"}`},
			"/set":   {`{}`, `{"used":-1}`, `{"used":1.5}`},
			"/reset": {`{"used":1}`},
		} {
			for _, body := range bodies {
				w.want(w.ask(w.front(ada), "POST", managed+at+path, body), http.StatusBadRequest, "VALIDATION_ERROR")
			}
		}
		for _, call := range []struct{ method, path, body string }{
			{"DELETE", "", ""}, {"POST", "/adjust", `{"amount":1}`}, {"POST", "/set", `{"used":1}`},
			{"POST", "/reset", ""}, {"GET", "/history", ""},
		} {
			w.want(w.manage(call.method, "/"+id+"/counters/other"+call.path, call.body), http.StatusNotFound,
				"COUNTER_NOT_FOUND")
			w.want(w.manage(call.method, "/"+unknown+"/counters/c"+call.path, call.body), http.StatusNotFound,
				"LICENSE_NOT_FOUND")
		}
		w.want(w.manage("PUT", "/"+id+"/counters/a%20b", `{"limit":1}`), http.StatusBadRequest, "VALIDATION_ERROR")
		w.want(w.manage("PUT", "/"+unknown+"/counters/c", `{"limit":1}`), http.StatusNotFound, "LICENSE_NOT_FOUND")
		w.want(w.manage("GET", "/"+unknown+"/counters", ""), http.StatusNotFound, "LICENSE_NOT_FOUND")
		for _, members := range []string{
			`"counters":[{"name":"a"},{"name":"a"}]`, `"counters":[{}]`, `"counters":[{"name":"a/b"}]`, `"counters":{}`,
			`"counters":[{"name":"a","limit":-1}]`,
			`"counters":[` + strings.TrimSuffix(strings.Repeat(`{"name":"a"},`, 33), ",") + `]`,
			`"entitlements":[{"code":"a"},{"code":"a"}]`,
			`"entitlements":[{}]`, `"entitlements":[{"code":"a","slots":0}]`,
			`"entitlements":[{"code":"a","counter":"b c"}]`,
			`"entitlements":[{"code":"a","expires_at":"0001-01-01T00:00:00Z"}]`,
			`"entitlements":[{"code":"a","metadata":{"x":"` + strings.Repeat("x", 64<<10) + `"}}]`,
		} {
			w.want(w.ask(w.front(ada), "POST", managed, `{"customer_id":"a",`+members+`}`), http.StatusBadRequest,
				"VALIDATION_ERROR")
			w.want(w.ask(w.front(ada), "PATCH", managed+"/"+id, `{`+members+`}`), http.StatusBadRequest,
				"VALIDATION_ERROR")
		}
		w.wantUsed(id, "c", 0)
	})
}

// bareEntitlement is the one that a feature makes.
func bareEntitlement(code string) map[string]any {
	return map[string]any{
		"code": code, "name": nil, "expires_at": nil, "slots": nil, "counter": nil, "metadata": map[string]any{},
	}
}

func TestManageEntitlements(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = &authv1.RateLimit{}
		id, key := w.create(1, 0) // with the feature export
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		at := "/" + id + "/entitlements"
		w.want(w.manage("PUT", "/"+id+"/counters/c", `{"limit":null}`), http.StatusOK, "")
		put := w.manage("PUT", at+"/sync%20all", `{"name":"Sync","slots":2,"counter":"c","metadata":{"n": 1}}`)
		w.want(put, http.StatusOK, "")
		if put.body["code"] != "sync all" || put.body["slots"] != 2.0 || put.header.Get("ETag") == "" {
			w.t.Errorf("%s", put.raw)
		}
		if got := w.post("validate", device(key, "pc")); fmt.Sprint(got.body["features"]) != "[export sync all]" {
			w.t.Errorf("%s", got.raw)
		}
		version := w.get(id)["version"]
		w.want(w.manage("PUT", at+"/sync%20all", `{"name":"Sync","slots":2,"counter":"c","metadata":{"n":1}}`),
			http.StatusOK, "")
		if got := w.get(id)["version"]; got != version {
			w.t.Errorf("the same entitlement is a change: version %v, then %v", version, got)
		}
		w.want(w.manage("DELETE", "/"+id+"/counters/c", ""), http.StatusConflict, "COUNTER_IN_USE")
		w.update(id, `{"features":["sync all"]}`)
		listed := w.manage("GET", at, "")
		w.want(listed, http.StatusOK, "")
		all := listed.body["entitlements"].([]any)
		if e := all[0].(map[string]any); len(all) != 1 || e["name"] != "Sync" || listed.body["total"] != 1.0 {
			w.t.Errorf("features alone left %s", listed.raw)
		}
		w.want(w.manage("DELETE", at+"/export", ""), http.StatusNotFound, "ENTITLEMENT_NOT_FOUND")
		w.want(w.manage("DELETE", at+"/sync%20all", "", "If-Match", `"1"`), http.StatusPreconditionFailed,
			"VERSION_MISMATCH")
		w.want(w.manage("DELETE", at+"/sync%20all", ""), http.StatusOK, "")
		if got := w.post("validate", device(key, "pc")); fmt.Sprint(got.body["features"]) != "[]" {
			w.t.Errorf("%s", got.raw)
		}
		w.want(w.manage("PUT", at+"/"+strings.Repeat("e", 65), `{}`), http.StatusBadRequest, "VALIDATION_ERROR")
		w.want(w.manage("PUT", "/"+unknown+"/entitlements/e", `{}`), http.StatusNotFound, "LICENSE_NOT_FOUND")
		w.want(w.manage("GET", "/"+unknown+"/entitlements", ""), http.StatusNotFound, "LICENSE_NOT_FOUND")
	})
}

// TestConsumedEvents tell what was consumed, to the last of it.
func TestConsumedEvents(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		_, key := w.metered(`[{"name":"c"}]`)
		// What consumes nothing is not told.
		w.want(w.consume(key, `"counter":"c","amount":0,"operation_id":"o"`), http.StatusOK, "")
		w.want(w.post("validate", with(key, `"consume":{"c":0},"operation_id":"p"`)), http.StatusOK, "")
		var running sync.WaitGroup
		for range 20 {
			running.Go(func() { w.want(w.consume(key, `"counter":"c","amount":2`), http.StatusOK, "") })
		}
		running.Wait()
		testkit.Eventually(w.t, patience, func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			amount, calls := 0.0, int32(0)
			for _, e := range w.published {
				var told eventsv1.LicenseConsumed
				if e.Type != eventsv1.TypeLicenseConsumed || e.Into(&told) != nil {
					continue
				}
				for _, c := range told.GetConsumptions() {
					amount, calls = amount+c.GetAmount(), calls+c.GetCalls()
				}
			}
			if amount != 40 || calls != 20 {
				return fmt.Errorf("%v in %d calls is told", amount, calls)
			}
			return nil
		})
	})
}

// TestEntitlementsOfAPolicy go together with those of the license, which win by their codes.
func TestEntitlementsOfAPolicy(t *testing.T) {
	eachWorld(t, func(w *world) {
		policy := w.ask(w.admin, http.MethodPost, "/api/v1/admin/policies", `{"code":"pro","name":"Pro",
			"counters":[{"name":"c","limit":5}],
			"features":["plain"],"entitlements":[{"code":"a","name":"A"},{"code":"b","name":"B"}]}`)
		w.want(policy, http.StatusCreated, "")
		made := w.manage(http.MethodPost, "", `{"customer_id":"acme","policy":"pro","entitlements":[{"code":"b",`+
			`"name":"mine"},{"code":"c"}]}`)
		w.want(made, http.StatusCreated, "")
		names := map[string]any{}
		for _, e := range made.body["entitlements"].([]any) {
			names[e.(map[string]any)["code"].(string)] = e.(map[string]any)["name"]
		}
		if got := fmt.Sprint(names); got != "map[a:A b:mine c:<nil> plain:<nil>]" {
			t.Errorf("the license has %s", got)
		}
		w.wantUsed(made.body["license_id"].(string), "c", 0)
	})
}
