package license_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestDatesEndInTheTimeZoneOfTheLicense: a date alone is through that day, whatever ends then.
func TestDatesEndInTheTimeZoneOfTheLicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		tomorrow := w.clock.Now().UTC().AddDate(0, 0, 1)
		date, year := tomorrow.Format(time.DateOnly), tomorrow.Year()
		ends := func(zone string) string {
			location, err := time.LoadLocation(zone)
			if err != nil {
				t.Fatal(err)
			}
			return time.Date(year, tomorrow.Month(), tomorrow.Day(), 23, 59, 59, 0, location).UTC().Format(time.RFC3339)
		}
		for _, zone := range []string{"America/New_York", "Asia/Tokyo", "UTC"} {
			want := ends(zone)
			says := func(what string, got any) {
				t.Helper()
				if got != want {
					t.Errorf("%s: %s ends at %v, want %s", zone, what, got, want)
				}
			}
			made := w.manage(http.MethodPost, "", fmt.Sprintf(`{"customer_id":"acme","timezone":%q,"max_devices":2,
				"entitlements":[{"code":"own","expires_at":%q}],
				"floating":{"slots":2,"borrow_max_hours":100}}`, zone, date))
			w.must(made, http.StatusCreated)
			id, key := made.body["license_id"].(string), made.body["license_key"].(string)
			says("an entitlement", made.body["entitlements"].([]any)[0].(map[string]any)["expires_at"])
			put := w.manage(http.MethodPut, "/"+id+"/entitlements/put", fmt.Sprintf(`{"expires_at":%q}`, date))
			w.must(put, http.StatusOK)
			says("an entitlement that is put", put.body["expires_at"])
			w.must(w.post("activate", device(key, "pc")), http.StatusCreated)
			lease := w.checkOut(key, "pc", fmt.Sprintf(`"borrow_until":%q`, date))
			w.must(lease, http.StatusCreated)
			says("a borrowed lease", lease.body["borrowed_until"])
			block := fmt.Sprintf(`{"hardware_id":"x","reason":"r","license_id":%q,"until":%q}`, id, date)
			blocked := w.blocks(http.MethodPost, "", block)
			w.must(blocked, http.StatusCreated)
			says("a block", blocked.body["until"])
		}
		blocked := w.blocks(http.MethodPost, "", fmt.Sprintf(`{"hardware_id":"x","reason":"r","until":%q}`, date))
		w.must(blocked, http.StatusCreated)
		if blocked.body["until"] != ends("UTC") {
			t.Errorf("a block of all licenses ends at %v", blocked.body["until"])
		}
		past := w.clock.Now().UTC().AddDate(0, 0, -2).Format(time.DateOnly)
		w.want(w.blocks(http.MethodPost, "", fmt.Sprintf(`{"hardware_id":"x","reason":"r","until":%q}`, past)),
			http.StatusBadRequest, "VALIDATION_ERROR")
	})
}

// TestTheLastDayEndsWithTheYear9999: west of Greenwich it would end in the year 10000, which nothing can store.
func TestTheLastDayEndsWithTheYear9999(t *testing.T) {
	eachWorld(t, func(w *world) {
		const terms = `"timezone":"America/New_York","entitlements":[{"code":"x","expires_at":"9999-12-31"}]`
		id, _ := w.with(terms)
		made := w.manage(http.MethodPost, "/bulk-create", `{"licenses":[{"customer_id":"a",`+terms+`}]}`)
		w.want(made, http.StatusCreated, "")
		w.want(w.policies(http.MethodPost, "", `{"code":"never",`+terms+`}`), http.StatusCreated, "")
		w.want(w.manage(http.MethodPut, "/"+id+"/entitlements/y", `{"expires_at":"9999-12-31"}`), http.StatusOK, "")
		for _, e := range w.get(id)["entitlements"].([]any) {
			if end := e.(map[string]any)["expires_at"]; end != "9999-12-31T23:59:59Z" {
				t.Errorf("ends %v", end)
			}
		}
	})
}
