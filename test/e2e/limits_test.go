//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func (w *harness) apiKey(body string) (id, key string) {
	w.Helper()
	a := w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/api-key", body, "X-Admin-Secret", w.AdminSecret),
		http.StatusCreated, "")
	return a.text("id"), a.text("api_key")
}

// TestRateLimit: one limit, however many processes share the calls.
func TestRateLimit(t *testing.T) {
	each(t, func(w *harness) {
		_, own := w.apiKey(`{"client_name":"own limits","allowed_endpoints":["*"],"rate_limit":{"per_minute":7,` +
			`"per_hour":100}}`)
		_, usual := w.apiKey(`{"client_name":"usual limits","allowed_endpoints":["*"]}`)
		for key, limit := range map[string]int{own: 7, usual: 60} {
			urls := w.URLs("license")
			served := make([]int, len(urls))
			for i := range limit + 5 {
				a := w.call(http.MethodPost, urls[i%len(urls)]+"/api/v1/license/validate", device(w.LicenseKey, "x"),
					"X-API-Key", key)
				if want := http.StatusOK; i >= limit {
					want = http.StatusTooManyRequests
					if a.status != want || a.header.Get("Retry-After") == "" {
						t.Fatalf("call %d of %d a minute: %d %v", i+1, limit, a.status, a.header)
					}
				} else if a.status != want || a.header.Get("X-RateLimit-Limit") != fmt.Sprint(limit) {
					t.Fatalf("call %d of %d a minute: %d %s %v", i+1, limit, a.status, a.raw, a.header)
				} else {
					served[i%len(urls)]++
				}
			}
			for i, n := range served {
				if share := float64(n) / float64(limit); share <= 0.3 {
					t.Errorf("process %d served %.0f%% of the calls", i+1, 100*share)
				}
			}
		}
	})
}

// TestSeatRace: 40 devices race for 5 seats over HTTP, on all processes, with devices that leave, transfers and limit
// changes. What services refuse because there is too much of it is asked again.
func TestSeatRace(t *testing.T) {
	each(t, func(w *harness) {
		id, key := w.create(`{"customer_id":"race","max_devices":5}`)
		urls := w.URLs("license")
		var taken, left atomic.Int64
		over := w.watchSeats(id, 5)
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				url, hardware := urls[i%len(urls)], fmt.Sprintf("device-%d", i)
				for round := range 3 {
					a, err := insist(http.MethodPost, url+"/api/v1/license/activate", device(key, hardware),
						"X-API-Key", w.APIKey)
					w.tolerate(a, err, http.StatusCreated, http.StatusForbidden, http.StatusConflict)
					if a.status == http.StatusCreated {
						taken.Add(1)
					}
					switch (i + round) % 4 {
					case 0:
						a, err = insist(http.MethodPost, url+"/api/v1/license/deactivate", device(key, hardware),
							"X-API-Key", w.APIKey)
						w.tolerate(a, err, http.StatusOK, http.StatusNotFound)
						if a.status == http.StatusOK {
							left.Add(1)
						}
					case 1:
						a, err = insist(http.MethodPost, w.AdminURL+"/api/v1/admin/licenses/"+id+"/transfer",
							fmt.Sprintf(`{"from_hardware_id":%q,"to_hardware_id":"%s-moved"}`, hardware, hardware),
							"X-Admin-API-Key", w.AdminAPIKey)
						w.tolerate(a, err, http.StatusOK, http.StatusNotFound, http.StatusConflict)
					case 2:
						a, err = insist(http.MethodPatch, w.AdminURL+"/api/v1/admin/licenses/"+id,
							fmt.Sprintf(`{"max_devices":%d}`, 4+round%2), "X-Admin-API-Key", w.AdminAPIKey)
						w.tolerate(a, err, http.StatusOK)
					}
				}
			})
		}
		all.Wait()
		if worst := over(); worst > 5 {
			t.Errorf("%d devices were seen on 5 seats", worst)
		}
		active, counter := w.devices(id)
		if active > 5 || active != counter || int64(active) != taken.Load()-left.Load() {
			t.Errorf("%d devices, counter %d, %d activations and %d departures acknowledged",
				active, counter, taken.Load(), left.Load())
		}
		w.usage(id, "activations", int(taken.Load()))
	})
}

// watchSeats looks at the license while others change it; the result is the most devices that were ever seen.
func (w *harness) watchSeats(id string, limit int) (stop func() int) {
	done, worst := make(chan struct{}), make(chan int)
	go func() {
		most := 0
		for {
			select {
			case <-done:
				worst <- most
				return
			default:
			}
			a, err := try(http.MethodGet, w.AdminURL+"/api/v1/admin/licenses/"+id, "", "X-Admin-API-Key", w.AdminAPIKey)
			if n, ok := a.body["current_devices"].(float64); err == nil && ok {
				most = max(most, int(n))
			}
		}
	}()
	return func() int { close(done); return <-worst }
}

func (w *harness) tolerate(a answer, err error, statuses ...int) {
	if err != nil || !slices.Contains(statuses, a.status) {
		w.Errorf("got %d %s %v, want one of %v", a.status, a.raw, err, statuses)
	}
}

// within demands that every process of license answers so within a second.
func (w *harness) within(what string, status int, code string, ask func(url string) (answer, error)) {
	w.Helper()
	for _, url := range w.URLs("license") {
		w.eventually(func() error {
			a, err := ask(url)
			if err == nil && (a.status != status || code != "" && a.code() != code) {
				err = fmt.Errorf("%s: %d %s, want %d %s", what, a.status, a.raw, status, code)
			}
			return err
		})
	}
}

// TestChangesAreSeenWithinASecond by every process, although validations are cached for five minutes.
func TestChangesAreSeenWithinASecond(t *testing.T) {
	each(t, func(w *harness) {
		keyID, apiKey := w.apiKey(`{"client_name":"to be revoked","allowed_endpoints":["*"],` +
			`"rate_limit":{"per_minute":0,"per_hour":0}}`)
		id, key := w.create(`{"customer_id":"c","max_devices":2}`)
		ask := func(url string) (answer, error) {
			return try(http.MethodPost, url+"/api/v1/license/validate", device(key, "pc"), "X-API-Key", apiKey)
		}
		warm := func() {
			for _, url := range w.URLs("license") {
				for range 2 {
					if a, err := ask(url); err != nil || a.status != http.StatusOK {
						t.Fatal(a.status, string(a.raw), err)
					}
				}
			}
		}
		w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")
		warm()
		w.want(w.admin(http.MethodPost, "/licenses/"+id+"/devices/deactivate", `{"hardware_id":"pc"}`), http.StatusOK,
			"")
		w.within("a device was deactivated", http.StatusOK, "DEVICE_NOT_ACTIVATED", ask)
		w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")
		warm()
		w.want(w.admin(http.MethodPatch, "/licenses/"+id, `{"max_devices":9}`), http.StatusOK, "")
		for _, url := range w.URLs("license") {
			w.eventually(func() error {
				a, err := ask(url)
				if limits, _ := a.body["limits"].(map[string]any); err == nil && limits["max_devices"] != 9.0 {
					err = fmt.Errorf("the limit changed: %s", a.raw)
				}
				return err
			})
		}
		w.want(w.admin(http.MethodDelete, "/licenses/"+id, ""), http.StatusOK, "")
		w.within("a license was deactivated", http.StatusForbidden, "LICENSE_INACTIVE", ask)
		w.want(w.admin(http.MethodPatch, "/licenses/"+id, `{"is_active":true}`), http.StatusOK, "")
		w.within("a license was revived", http.StatusOK, "", ask)
		w.want(w.call(http.MethodDelete, w.AuthURL+"/api/v1/auth/api-keys/"+keyID, "", "X-Admin-Secret", w.AdminSecret),
			http.StatusOK, "")
		w.within("an API key was revoked", http.StatusUnauthorized, "INVALID_API_KEY", ask)
	})
}
