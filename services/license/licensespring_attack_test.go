package license_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// answered reports whether a call was answered in the form that the clients expect, and not by a failure.
func (s *springs) answered(what string, rec *httptest.ResponseRecorder) {
	s.t.Helper()
	var body struct {
		Status        int
		Code, Message string
	}
	if rec.Code == http.StatusOK {
		return
	}
	if json.Unmarshal(rec.Body.Bytes(), &body) != nil || rec.Code >= 500 || body.Status != rec.Code ||
		body.Code == "" ||
		body.Message == "" {
		s.t.Errorf("%s: %d %s", what, rec.Code, rec.Body)
	}
}

func TestLicenseSpringBadInput(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		id, key := w.create(3, 0)
		named := fmt.Sprintf(`"product":"default","license_key":%q,"hardware_id":"pc"`, key)
		bodies := []string{
			`[]`, `null`, `7`, `"x"`, `{`, `{"a":1}{"b":2}`, "\xff", "{\"product\":\"a\x00\"}", `{"product":"a\u0000"}`,
			`{"product":"\ud800"}`, strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40),
			`{` + named + `,"is_vm":"yes"}`, `{` + named + `,"consumptions":1.5}`,
			`{` + named + `,"consumptions":1e99}`,
			`{` + named + `,"consumptions":-99999999999999999999}`, `{` + named + `,"variables":[]}`,
			`{` + named + `,"variables":{"":"x"}}`,
			`{` + named + `,"variables":{"a":"` + strings.Repeat("x", 2000) + `"}}`,
			`{` + named + `,"feature":{}}`, `{` + named + `,"feature":"` + strings.Repeat("f", 300) + `"}`,
			`{` + named + `,"borrowed_until":"0000-00-00"}`, `{` + named + `,"borrowed_until":7}`,
			`{"product":"../default","license_key":"x","hardware_id":"y"}`, `{` + named + `,"hostname":"a\u0001"}`,
			strings.Replace(`{`+named+`}`, `"pc"`, `"00000000-0000-0000-0000-000000000000"`, 1),
		}
		for _, path := range []string{
			"activate_license", "deactivate_license", "add_consumption", "add_feature_consumption", "floating/borrow",
			"floating/release", "floating/feature_borrow", "floating/feature_release", "track_device_variables",
			"activate_offline", "deactivate_offline",
		} {
			for _, body := range bodies {
				s.answered(path+" "+body, s.ask(http.MethodPost, path, body))
				s.answered(path+" in base64 "+body,
					s.ask(http.MethodPost, path, base64.StdEncoding.EncodeToString([]byte(body))))
			}
		}
		for _, path := range []string{
			"check_license", "check_license_feature", "get_device_variables", "product_details", "products",
		} {
			for _, value := range []string{"", "a\x00", "\xff", strings.Repeat("x", 300), "7", "true", "[]", "%"} {
				for _, name := range []string{"product", "license_key", "hardware_id", "feature", "is_vm", "env"} {
					q := url.Values{"product": {"default"}, "license_key": {key}, "hardware_id": {"pc"}}
					q.Set(name, value)
					s.answered(path+" "+name+" "+value, s.ask(http.MethodGet, path+"?"+q.Encode(), ""))
				}
			}
			s.answered(path, s.ask(http.MethodGet, path+"?product=%zz", ""))
		}
		w.inUse(id, 0)
	})
}

// TestLicenseSpringRaces: limits hold for calls that come at the same time by both APIs.
func TestLicenseSpringRaces(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		w.unlimitedCalls()
		s := w.licenseSpring("")
		id, key := w.with(`"max_devices":5,"counters":[{"name":"consumptions","limit":10}]`)
		var all sync.WaitGroup
		var seats, consumed atomic.Int32
		count := func(n *atomic.Int32, status int) {
			if status < 300 {
				n.Add(1)
			}
		}
		for i := range 20 {
			all.Go(func() { count(&seats, s.post("activate_license", key, fmt.Sprint("a", i), "").Code) })
			all.Go(func() { count(&seats, w.post("activate", device(key, fmt.Sprint("b", i))).status) })
		}
		all.Wait()
		if seats.Load() != 5 {
			t.Errorf("%d of 40 devices have seats, want 5", seats.Load())
		}
		w.inUse(id, 5)
		id, key = w.with(`"counters":[{"name":"consumptions","limit":10}]`)
		s.object(s.post("activate_license", key, "pc", ""))
		for range 20 {
			all.Go(func() { count(&consumed, s.post("add_consumption", key, "pc", "").Code) })
			all.Go(func() {
				count(&consumed, w.consume(key, `"counter":"consumptions"`).status)
			})
		}
		all.Wait()
		w.wantUsed(id, "consumptions", int(consumed.Load()))
		if consumed.Load() != 10 {
			t.Errorf("%d of 40 consumptions, want 10", consumed.Load())
		}
	})
}
