//go:build unix

package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite" // the driver to look into the files of the embedded suite

	"github.com/latchkey-dev/latchkey/test/suite"
)

// TestFloodsDoNotFillTheTables: neither somebody without a credential nor a device on its one seat fills the tables.
// Floods as large as may be leave as many rows and bytes as the limits allow.
func TestFloodsDoNotFillTheTables(t *testing.T) {
	t.Parallel()
	w := own(t, suite.Options{Embedded: true, Settings: []string{
		"LATCHKEY_ADDRESS_LIMITS=false", "LATCHKEY_TOKEN_RATE_LIMIT=20"}})
	id, key := w.create(`{"customer_id":"flood"}`)
	w.want(w.license("activate", device(key, "pc")), 201, "")
	access, refresh := w.pair(id, "pc")
	w.want(w.call("POST", w.AuthURL+"/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, refresh)), 200, "")
	w.usage(id, "activations", 1)
	for i, flood := range []struct {
		name, method, url, body, bearer string
		// rows and bytes are the most that may be left of received events.
		rows, bytes int
	}{
		{"made-up access tokens", "POST", w.AuthURL + "/api/v1/auth/verify", "", "x.y.z", 0, 0},
		{"changed access tokens", "POST", w.AuthURL + "/api/v1/auth/verify", "", access + "A", 0, 0},
		{"made-up refresh tokens", "POST", w.AuthURL + "/api/v1/auth/refresh", `{"refresh_token":"rt_x"}`, "", 0, 0},
		{"heartbeats of one seat", "POST", w.LicenseURL + "/api/v1/license/heartbeat",
			`{"session_data":{"a":"` + strings.Repeat("x", 4000) + `"}}`, access, 40, 40 * 600},
	} {
		rows, bytes := w.received()
		w.flood(flood.method, flood.url, flood.body, flood.bearer)
		w.want(w.license("validate", device(key, "pc")), 200, "") // what comes after it is there when it is there
		w.usage(id, "validations", i+1)
		moreRows, moreBytes := w.received()
		if n, size := moreRows-rows-1, moreBytes-bytes; n > flood.rows || size > flood.bytes+600 {
			t.Errorf("%s: %d rows and %d bytes more received events", flood.name, n, size)
		}
	}
	for range 40 {
		w.call("POST", w.AuthURL+"/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, refresh))
	}
	if n := w.count("auth", `SELECT count(*) FROM refresh_tokens`); n > 25 {
		t.Errorf("%d refresh tokens of one seat", n)
	}
	if n := w.count("auth", `SELECT count(*) FROM telemetry_spill`) +
		w.count("license", `SELECT count(*) FROM telemetry_spill`); n > 0 {
		t.Errorf("%d batches of events were put aside", n)
	}
}

// flood makes a thousand calls, eight at a time.
func (w *harness) flood(method, url, body, bearer string) {
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 125 {
				if _, err := try(method, url, body, "Authorization", "Bearer "+bearer); err != nil {
					w.Error(err)
				}
			}
		})
	}
	callers.Wait()
}

// received is how many events analytics has, and of how many bytes.
func (w *harness) received() (rows, bytes int) {
	w.Helper()
	return w.count("analytics", `SELECT count(*) FROM events`), w.count("analytics",
		`SELECT coalesce(sum(length(data)), 0) FROM events`)
}

func (w *harness) count(service, query string) (n int) {
	w.Helper()
	files, err := sql.Open("sqlite", "file:"+filepath.Join(w.Dir, "latchkey-data", service+".db")+
		"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		w.Fatal(err)
	}
	defer files.Close()
	if err := files.QueryRowContext(w.Context(), query).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}
