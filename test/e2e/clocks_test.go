//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/test/suite"
)

// day is one of 24 hours.
const day = 24 * time.Hour

// TestClocksJump sets the clocks of all processes, and right again: by days forward and back, as a host does that woke
// with a wrong clock, and by minutes. Whatever the clock, everything works, and what was made under another one works
// on as soon as it is right: nobody waits for as long as it was wrong.
func TestClocksJump(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]suite.Options{"embedded": {Embedded: true}, "processes": {Replicas: 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Clocks, o.Settings = true, processes.options.Settings
			w := own(t, o)
			for _, by := range []time.Duration{14 * day, -14 * day, -10 * time.Minute} {
				w.Logf("by %v", by)
				w.jump(by)
			}
			w.stopWhileSetBack()
		})
	}
}

// jump has the clocks go wrong and right again.
func (w *harness) jump(by time.Duration) {
	w.Helper()
	right := time.Now()
	before := w.newHolding(right.Add(holdingLasts))
	w.setClocks(by)
	w.everythingOnce()
	if ended := by > holdingLasts; ended {
		w.want(w.license("validate", device(before.key, "pc")), http.StatusForbidden, "LICENSE_EXPIRED")
	}
	during := w.newHolding(right.Add(max(by, 0) + holdingLasts))
	w.setClocks(0)
	before.holds()
	before.repeats()
	during.holds()
	if by > -day { // an answer that is older by now, and be it by the clock alone, is gone
		during.repeats()
	}
	w.everythingOnce()
}

// stopWhileSetBack ends every process, and sets its clock back while it drains.
func (w *harness) stopWhileSetBack() {
	w.Helper()
	w.setClocks(14 * day)
	stopped := make(chan error)
	go func() { stopped <- w.StopProcesses() }()
	for _, p := range w.Processes {
		for _, url := range p.URLs {
			w.eventually(func() error {
				if a, err := try(http.MethodGet, url+"/readyz", ""); err == nil && a.status == http.StatusOK {
					return errors.New("it is still ready")
				}
				return nil
			})
		}
	}
	w.setClocks(0)
	if err := <-stopped; err != nil {
		w.Error(err)
	}
}

// TestClocksApart: replicas whose clocks are apart by seconds are one suite. One that is further off is refused by its
// peers, keeps nobody from the others, and works as soon as its clock is right.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	w := own(t, suite.Options{Clocks: true, Replicas: 2, Settings: processes.options.Settings})
	set := func(service string, ahead time.Duration) {
		t.Helper()
		if err := w.Process(service).SetClock(ahead); err != nil {
			t.Fatal(err)
		}
	}
	for _, ahead := range []time.Duration{2 * time.Second, -2 * time.Second} {
		for _, service := range []string{"auth-2", "license-2", "analytics-2", "admin-2"} {
			set(service, ahead)
		}
		w.everythingOnce()
		w.everythingAt(1) // at the other replicas of each service
		w.setClocks(0)
	}
	urls := w.URLs("license")
	for _, ahead := range []time.Duration{90 * time.Second, -90 * time.Second} {
		set("license-2", ahead)
		_, apiKey := w.apiKey(`{"client_name":"new","allowed_endpoints":["*"]}`) // it has to ask auth about it
		validate := func(url string) answer {
			return w.call(http.MethodPost, url+"/api/v1/license/validate", device(w.LicenseKey, "pc"),
				"X-API-Key", apiKey)
		}
		w.want(validate(urls[1]), http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE")
		w.want(validate(urls[0]), http.StatusOK, "")
		set("license-2", 0)
		w.want(validate(urls[1]), http.StatusOK, "")
		w.everythingOnce()
	}
}

func (w *harness) setClocks(ahead time.Duration) {
	w.Helper()
	if err := w.SetClocks(ahead); err != nil {
		w.Fatal(err)
	}
}

// everythingOnce has all kinds of users do what they do, once, each call with the status that it must have.
func (w *harness) everythingOnce() { w.Helper(); w.everythingAt(0) }

// everythingAt is everythingOnce, with the first call at the replica of that number, the second at the next, and so on.
func (w *harness) everythingAt(replica int64) {
	w.Helper()
	r := w.behindGateway()
	r.turn.Store(replica)
	id, key := w.create(`{"customer_id":"clocks","max_devices":10}`)
	for _, journey := range append(r.journeys(id, key), r.protected, r.lifeOfALicense, r.counted, r.lifeOfAnAPIKey,
		r.looked) {
		if err := journey("pc"); err != nil {
			w.Error(err)
		}
	}
}

// holding is what a user of the suite has under one clock and wants to go on with under another.
type holding struct {
	*harness
	id, key      string // of a license that ends at a right time
	access       string
	refreshToken string
	leaseOf      string // the key of a license with one slot, which a device holds for seconds
	limited      string // an API key that has had all its calls of a minute
	ending       string // an API key that ends at a right time
	made, once   string // a license, and the Idempotency-Key under which it was made
}

const holdingLasts = 7 * day

func (w *harness) newHolding(ends time.Time) *holding {
	w.Helper()
	h := &holding{harness: w}
	end := ends.UTC().Format(time.RFC3339)
	h.id, h.key = w.create(fmt.Sprintf(`{"customer_id":"clocks","max_devices":2,"expires_at":%q}`, end))
	w.want(w.license("activate", device(h.key, "pc")), http.StatusCreated, "")
	h.access, h.refreshToken = w.pair(h.id, "pc")
	_, h.leaseOf = w.create(`{"customer_id":"clocks","floating":{"slots":1,"lease_seconds":10,"activation":"none"}}`)
	w.want(w.license("leases", device(h.leaseOf, "first")), http.StatusCreated, "")
	_, h.limited = w.apiKey(`{"client_name":"limited","allowed_endpoints":["*"],"rate_limit":{"per_minute":2,` +
		`"per_hour":100}}`)
	for h.limitedCall().status == http.StatusOK {
	}
	_, h.ending = w.apiKey(fmt.Sprintf(`{"client_name":"ending","allowed_endpoints":["*"],"expires_at":%q}`, end))
	h.once = fmt.Sprint("clocks-", h.id)
	h.made = h.createOnce().text("license_id")
	w.usage(h.id, "activations", 1) // what comes to analytics when its clock is days behind is a dead letter
	return h
}

// limitedCall is one with the API key that has had all its calls.
func (h *holding) limitedCall() answer {
	h.Helper()
	return h.call(http.MethodPost, h.LicenseURL+"/api/v1/license/validate", device(h.key, "pc"), "X-API-Key", h.limited)
}

func (h *holding) createOnce() answer {
	h.Helper()
	return h.want(h.admin(http.MethodPost, "/licenses", `{"customer_id":"once"}`, "Idempotency-Key", h.once),
		http.StatusCreated, "")
}

// repeats demands that the call that was made under an Idempotency-Key is not carried out again.
func (h *holding) repeats() {
	h.Helper()
	if again := h.createOnce(); again.text("license_id") != h.made {
		h.Errorf("the repeated call made %s beside %s", again.text("license_id"), h.made)
	}
}

// holds demands that all of it works on while the clock is right.
func (h *holding) holds() {
	h.Helper()
	h.want(h.license("validate", device(h.key, "pc")), http.StatusOK, "")
	shown := h.want(h.admin(http.MethodGet, "/licenses/"+h.id, ""), http.StatusOK, "")
	if shown.text("status") != "active" {
		h.Errorf("the license is shown as %s", shown.raw)
	}
	a := h.want(h.refresh(h.refreshToken), http.StatusOK, "")
	h.want(h.call(http.MethodPost, h.LicenseURL+"/api/v1/license/heartbeat", "{}", "Authorization",
		"Bearer "+a.text("access_token")), http.StatusOK, "")
	h.want(h.call(http.MethodPost, h.LicenseURL+"/api/v1/license/validate", device(h.key, "pc"), "X-API-Key", h.ending),
		http.StatusOK, "")
	limited := h.limitedCall()
	if seconds, _ := strconv.Atoi(limited.header.Get("Retry-After")); limited.status != http.StatusOK &&
		(limited.status != http.StatusTooManyRequests || seconds > 120) {
		h.Errorf("an API key with calls by the minute: %d, %d s", limited.status, seconds)
	}
	h.eventually(func() error {
		if a := h.license("leases", device(h.leaseOf, "second")); a.status != http.StatusCreated {
			return fmt.Errorf("%d %s", a.status, a.raw)
		}
		return nil
	})
}
