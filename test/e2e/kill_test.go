//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// killing calls what changes a license until stopped, while the service license is killed three times.
func (w *harness) killing(call func(n int64) bool) (acknowledged int64) {
	w.Helper()
	r := w.repeat(4, call)
	for round := int64(1); round <= 3; round++ {
		w.eventually(func() error {
			if got := r.acknowledged.Load(); got < 20*round {
				return fmt.Errorf("%d calls, waiting for %d", got, 20*round)
			}
			return nil
		})
		w.Process("license").Kill9()
		w.restart("license")
	}
	return r.stop()
}

// changes counts the events of a license beside its creation.
func (w *harness) changes(id string) int64 {
	w.Helper()
	a := w.want(w.admin(http.MethodGet, "/licenses/"+id+"/events?hours=1", ""), http.StatusOK, "")
	return int64(a.body["total"].(float64)) - 1
}

func (w *harness) licensed(endpoint, body string, status int) bool {
	a, err := try(http.MethodPost, w.LicenseURL+"/api/v1/license/"+endpoint, body, "X-API-Key", w.APIKey)
	return err == nil && a.status == status
}

func TestKillLicenseDuringConsumption(t *testing.T) {
	each(t, func(w *harness) {
		id, key := w.create(`{"customer_id":"kill consumption","counters":[{"name":"exports","limit":null}]}`)
		w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")
		acknowledged := w.killing(func(n int64) bool {
			return w.licensed("consume", fmt.Sprintf(
				`{"license_key":%q,"hardware_id":"pc","counter":"exports","operation_id":"job-%d"}`, key, n),
				http.StatusOK)
		})
		a := w.want(w.admin(http.MethodGet, "/licenses/"+id+"/counters", ""), http.StatusOK, "")
		used := a.body["counters"].([]any)[0].(map[string]any)["used"].(float64)
		if int64(used) != acknowledged {
			t.Errorf("%d consumptions acknowledged, %v counted", acknowledged, used)
		}
	})
}

func TestKillLicenseDuringCheckouts(t *testing.T) {
	each(t, func(w *harness) {
		id, key := w.create(`{"customer_id":"kill checkouts","floating":{"slots":100000,"activation":"none",` +
			`"lease_seconds":86400}}`)
		acknowledged := w.killing(func(n int64) bool {
			body := device(key, fmt.Sprintf("device-%d", n))
			// 200: a renewal
			return w.licensed("leases", body, http.StatusCreated) || w.licensed("leases", body, http.StatusOK)
		})
		a := w.want(w.admin(http.MethodGet, "/licenses/"+id+"/leases?per_page=1", ""), http.StatusOK, "")
		inUse := a.body["slots"].(map[string]any)["in_use"].(float64)
		if int64(inUse) != acknowledged || w.changes(id) != acknowledged {
			t.Errorf("%d checkouts acknowledged, %v slots in use, %d events", acknowledged, inUse, w.changes(id))
		}
	})
}

func TestKillLicenseDuringRenewals(t *testing.T) {
	each(t, func(w *harness) {
		id, _ := w.create(`{"customer_id":"kill renewals","expires_at":"2100-01-01T00:00:00Z"}`)
		acknowledged := w.killing(func(n int64) bool {
			a, err := try(http.MethodPost, w.AdminURL+"/api/v1/admin/licenses/"+id+"/renew", `{"days":1}`,
				"X-Admin-API-Key", w.AdminAPIKey, "Idempotency-Key", fmt.Sprintf("renewal-%s-%d", id, n))
			return err == nil && a.status == http.StatusOK
		})
		l := w.want(w.admin(http.MethodGet, "/licenses/"+id, ""), http.StatusOK, "")
		want := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(acknowledged)).Format(time.RFC3339)
		if l.text("expires_at") != want || w.changes(id) != acknowledged {
			t.Errorf("%d renewals acknowledged, the license ends %s, want %s; %d events",
				acknowledged, l.text("expires_at"), want, w.changes(id))
		}
	})
}

// TestKillLicenseDuringABulkChange: whoever repeats the call with its Idempotency-Key has the rest done, and nothing
// twice.
func TestKillLicenseDuringABulkChange(t *testing.T) {
	each(t, func(w *harness) {
		const many, batch = 10_000, 250
		customer := fmt.Sprintf("kill bulk %d", time.Now().UnixNano())
		row := fmt.Sprintf(`{"customer_id":%q,"expires_at":"2100-01-01T00:00:00Z"}`, customer)
		for range many / batch {
			rows := strings.TrimSuffix(strings.Repeat(row+",", batch), ",")
			a, err := insist(http.MethodPost, w.AdminURL+"/api/v1/admin/licenses/bulk-create",
				`{"licenses":[`+rows+`]}`, "X-Admin-API-Key", w.AdminAPIKey)
			if err != nil || a.status != http.StatusCreated {
				t.Fatal(a.status, string(a.raw), err)
			}
		}
		list := "/licenses?customer_id=" + url.QueryEscape(customer)
		done := make(chan bool)
		go func() {
			done <- w.insists(func(int64) bool {
				a, err := try(http.MethodPost, w.AdminURL+"/api/v1/admin/licenses/bulk",
					fmt.Sprintf(`{"action":"renew","params":{"days":1},"filter":{"customer_id":%q},"dry_run":false}`,
						customer),
					"X-Admin-API-Key", w.AdminAPIKey, "Idempotency-Key", customer)
				return err == nil && a.status == http.StatusOK && a.body["ok_count"] == float64(many)
			}, 1)
		}()
		w.eventually(func() error {
			a := w.want(w.admin(http.MethodGet, list+"&per_page=1&expires_after=2100-01-01T12:00:00Z", ""),
				http.StatusOK, "")
			if a.body["total"] == 0.0 {
				return errors.New("no license has been renewed yet")
			}
			return nil
		})
		w.Process("license").Kill9()
		w.restart("license")
		if !<-done {
			return
		}
		seen, first := 0, list+"&per_page=100"
		for page := first; page != ""; {
			a := w.want(w.admin(http.MethodGet, page, ""), http.StatusOK, "")
			for i, l := range a.body["licenses"].([]any) {
				l := l.(map[string]any)
				if l["expires_at"] != "2100-01-02T00:00:00Z" || l["version"] != 2.0 {
					t.Fatalf("%v ends %v at version %v", l["license_id"], l["expires_at"], l["version"])
				}
				if id := l["license_id"].(string); i == 0 && w.changes(id) != 1 {
					t.Errorf("%d events of the renewal of %s", w.changes(id), id)
				}
				seen++
			}
			page = ""
			if next, more := a.body["next_cursor"].(string); more {
				page = first + "&cursor=" + url.QueryEscape(next)
			}
		}
		if seen != many {
			t.Errorf("%d licenses are listed, want %d", seen, many)
		}
	})
}
