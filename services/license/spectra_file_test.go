package license_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

const applianceFilePath = "/api/v1/admin/integrations/spectra/license-file"

// applianceFile asks admin for the license file of appliances. The answer is no JSON.
func (w *world) applianceFile(body, idempotencyKey string) *httptest.ResponseRecorder {
	w.t.Helper()
	req := httptest.NewRequest(http.MethodPost, applianceFilePath, strings.NewReader(body))
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	rec := httptest.NewRecorder()
	w.admin.ServeHTTP(rec, req)
	return rec
}

func TestApplianceFile(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(2, 10)
		body := fmt.Sprintf(`{"license_id":%q,"machine_ids":["m-1","m-2","m-1"],"valid_hours":48}`, id)
		rec := w.applianceFile(body, "once")
		if rec.Code != http.StatusCreated || rec.Header().Get("Content-Type") != "application/octet-stream" ||
			rec.Header().Get("Content-Disposition") != `attachment; filename="license"` {
			w.t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
		}
		made := rec.Body.Bytes()
		check := file.Check{Root: w.root(), Product: "default", Now: w.clock.Now()}
		for machine, want := range map[string]error{"m-1": nil, "m-2": nil, "m-3": file.ErrMachine} {
			check.HardwareID = machine
			p, err := file.Verify(made, check)
			if !errors.Is(err, want) || err == nil && p.License.LicenseID != id {
				w.t.Errorf("on %s: %+v, %v", machine, p, err)
			}
		}
		if again := w.applianceFile(body, "once"); again.Code != http.StatusCreated ||
			again.Body.String() != string(made) || again.Header().Get("Idempotency-Replayed") != "true" {
			w.t.Errorf("repeated: %d %v", again.Code, again.Header())
		}
		if n := w.get(id)["current_devices"]; n != 2.0 {
			w.t.Errorf("%v seats are taken", n)
		}
		w.audited("license.issue_file")
	})
}

func TestApplianceFileRefusals(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(1, 0)
		offline, _ := w.with(`"offline_activation":false`)
		machines := func(license, ids string) string {
			return fmt.Sprintf(`{"license_id":%q,"machine_ids":%s}`, license, ids)
		}
		for name, tt := range map[string]struct {
			body, code string
			status     int
		}{
			"nothing":          {`{}`, "VALIDATION_ERROR", 400},
			"no machine":       {machines(id, `[]`), "VALIDATION_ERROR", 400},
			"any machine":      {machines(id, `null`), "VALIDATION_ERROR", 400},
			"an empty machine": {machines(id, `["m-1",""]`), "VALIDATION_ERROR", 400},
			"a long machine":   {machines(id, `["`+strings.Repeat("m", 256)+`"]`), "VALIDATION_ERROR", 400},
			"many machines": {machines(id, `["m"`+strings.Repeat(`,"m"`, 100)+`]`),
				"VALIDATION_ERROR", 400},
			"a placeholder":   {machines(id, `["unknown"]`), "HARDWARE_ID_NOT_UNIQUE", 400},
			"no license id":   {machines("", `["m-1"]`), "VALIDATION_ERROR", 400},
			"a license key":   {machines("LIC-1", `["m-1"]`), "LICENSE_NOT_FOUND", 404},
			"no such license": {machines(unknown, `["m-1"]`), "LICENSE_NOT_FOUND", 404},
			"too few seats":   {machines(id, `["m-1","m-2"]`), "DEVICE_LIMIT_EXCEEDED", 403},
			"online only":     {machines(offline, `["m-1"]`), "OFFLINE_NOT_ALLOWED", 403},
			"no hours": {`{"license_id":"` + id + `","machine_ids":["m"],"valid_hours":0}`,
				"VALIDATION_ERROR", 400},
			"encrypted": {`{"license_id":"` + id + `","machine_ids":["m"],"encrypt":true}`,
				"VALIDATION_ERROR", 400},
			"by the old name":  {`{"license_id":"` + id + `","hardware_ids":["m"]}`, "VALIDATION_ERROR", 400},
			"two values":       {machines(id, `["m"]`) + `{}`, "VALIDATION_ERROR", 400},
			"no list":          {machines(id, `"m"`), "VALIDATION_ERROR", 400},
			"a NUL in machine": {machines(id, `["m\u0000"]`), "VALIDATION_ERROR", 400},
		} {
			got := w.ask(w.admin, http.MethodPost, applianceFilePath, tt.body)
			if got.status != tt.status || got.body["error_code"] != tt.code {
				w.t.Errorf("%s: %d %s, want %d %s", name, got.status, got.raw, tt.status, tt.code)
			}
		}
		full := w.ask(w.admin, http.MethodPost, applianceFilePath, machines(id, `["m-1","m-2"]`))
		limits := full.body["details"].(map[string]any)["limits"].(map[string]any)
		if limits["current_devices"] != 0.0 {
			w.t.Errorf("the refusal counts the seats that were not taken: %s", full.raw)
		}
		if n := w.get(id)["current_devices"]; n != 0.0 || slices.Contains(w.logged(id), "license.file_issued") {
			w.t.Errorf("refusals left %v seats taken, and %v", n, w.logged(id))
		}
	})
}
