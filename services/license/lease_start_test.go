package license_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// A trial is sold under terms whose time begins with the first activation, while a lease of it is live: whoever renews
// the lease uses what was sold, and has its time begin.
func TestARenewalStartsWhatWasSold(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		const floating = `,"floating":{"slots":1,"activation":"none"}}`
		w.want(w.policies(http.MethodPost, "", `{"code":"trial","is_trial":true,"duration_days":14`+floating),
			http.StatusCreated, "")
		w.want(w.policies(http.MethodPost, "",
			`{"code":"year","duration_days":365,"starts":"first_activation"`+floating), http.StatusCreated, "")
		for name, again := range map[string]func(key string, lease answer) answer{
			"renew":     func(_ string, lease answer) answer { return w.renew(lease) },
			"check out": func(key string, _ answer) answer { return w.checkOut(key, "pc") },
		} {
			id, key := w.made(`{"customer_id":"acme","policy":"trial"}`)
			lease := w.checkOut(key, "pc")
			w.want(lease, http.StatusCreated, "")
			w.want(w.manage(http.MethodPost, "/"+id+"/convert", `{"policy":"year"}`), http.StatusOK, "")
			if sold := w.get(id); sold["expires_at"] != nil {
				t.Fatalf("%s: began with the sale: %v", name, sold)
			}
			w.want(again(key, lease), http.StatusOK, "")
			if used := w.get(id); used["started_at"] != w.at(0) || used["expires_at"] != w.at(365*24*time.Hour) {
				t.Errorf("%s: %v", name, used)
			}
		}
	})
}

// The event of a denial does not grow with the lists of the license: whoever has the key may be denied on and on, and
// each is kept.
func TestADenialIsSmall(t *testing.T) {
	eachWorld(t, func(w *world) {
		long := strings.Repeat("x", 200)
		_, key := w.floating(`{"slots":1,"activation":"none"},"entitlements":[{"code":"e","name":"` + long + `"}]`)
		w.want(w.checkOut(key, "pc-1"), http.StatusCreated, "")
		w.want(w.checkOut(key, "pc-2"), http.StatusForbidden, "LEASE_LIMIT_EXCEEDED")
		event := w.eventually("license.lease.denied")
		var denied eventsv1.LicenseLeaseDenied
		if err := event.Into(&denied); err != nil {
			t.Fatal(err)
		}
		if denied.GetSlots() != 1 || denied.GetLicense().GetTerms().GetMaxDevices() != 1000 ||
			strings.Contains(string(event.Data), "xxx") || strings.Contains(string(event.Data), "export") {
			t.Errorf("%s", event.Data)
		}
	})
}

// Copies of a machine that hold one lease show by their networks; a machine that renews from its own shows nothing.
func TestALeaseOnSeveralNetworks(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		id, key := w.floating(`{"slots":1,"activation":"none"}`)
		for _, ip := range []string{"203.0.113.5", "203.0.77.5", "198.51.100.7", "2001:db8::1", "198.51.100.7"} {
			req := httptest.NewRequest(http.MethodPost, "/api/v1/license/leases", strings.NewReader(device(key, "pc")))
			req.Header.Set("X-API-Key", w.auth.apiKey)
			req.RemoteAddr = net.JoinHostPort(ip, "1")
			if got := w.asked(w.public, req); got.status >= 300 {
				t.Fatalf("%s", got.raw)
			}
		}
		testkit.Eventually(t, patience, func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			var from []string
			for _, e := range w.published {
				var beat eventsv1.LicenseHeartbeat
				if e.Type == eventsv1.TypeLicenseHeartbeat && e.Subject == id && e.Into(&beat) == nil {
					from = append(from, beat.GetIp())
				}
			}
			if diff := cmp.Diff([]string{"198.51.100.7", "2001:db8::1", "198.51.100.7"}, from); diff != "" {
				return fmt.Errorf("networks (-want +got):\n%s", diff)
			}
			return nil
		})
	})
}
