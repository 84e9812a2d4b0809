package api

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

func sameAsJSON(t *testing.T, r validateResponse) {
	t.Helper()
	want, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.appendJSON(nil); string(got) != string(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheAnswerIsWhatJSONWrites(t *testing.T) {
	end := time.Date(2030, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	for _, r := range []validateResponse{
		{},
		{Valid: true, LicenseID: "018f4b1e-0000-7000-8000-000000000001",
			ExpiresAt: &end, Features: []string{"a", "b"}, Cached: true},
		{Valid: true, Standing: wire.Standing{
			LicenseType: "time-limited", IsTrial: true, Status: "in_grace", Grace: true, GraceEndsAt: &end,
			Starts: "first_activation", DurationDays: 14, DurationMonths: 1,
		}},
		{refusedBody: &refusedBody{`a "text"`, "DEVICE_NOT_ACTIVATED", map[string]any{"license_id": "1"}},
			Features: []string{}, Limits: wire.Limits{MaxDevices: new(-1), CurrentDevices: 1 << 40}},
		{Valid: true, SignedStatement: "-----BEGIN LATCHKEY CERTIFICATE-----\nYQ==\n"},
	} {
		sameAsJSON(t, r)
	}
}

func FuzzTheAnswerIsWhatJSONWrites(f *testing.F) {
	f.Add(true, "", "id", "feature", int64(1893553445), int64(678_900_000), 3, 1, true)
	f.Add(false, "CODE", "<id>", "\xff\u2028\"", int64(-62135596800), int64(0), 0, -1, false)
	f.Fuzz(func(t *testing.T, valid bool, code, id, feature string, seconds, nanos int64, seats, taken int,
		cached bool) {
		const begin, years = -62135596800, 9999 * 365 * 86400 // later ends are no JSON, and no database holds them
		end := time.Unix(begin+int64(uint64(seconds-begin)%years), nanos%1e9).UTC()
		sameAsJSON(t, validateResponse{
			Valid: valid, refusedBody: &refusedBody{feature, code, map[string]any{"license_id": id}}, LicenseID: id,
			ExpiresAt: &end, Features: []string{feature, code},
			Limits: wire.Limits{MaxDevices: &seats, CurrentDevices: taken}, Cached: cached, Product: id,
			Policy: &feature,
		})
	})
}
