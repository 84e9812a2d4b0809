package ingest

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/uid"
)

// FuzzRead demands that what is let in can be stored: no text beyond its bounds, ids in their notation.
func FuzzRead(f *testing.F) {
	for _, data := range []string{
		`{"license_id":"01890000-0000-7000-8000-000000000001","hardware_id":"a",` +
			`"client_time":"2026-01-02T03:04:05Z","version":3}`,
		`{"license_id":"URN:UUID:01890000-0000-7000-8000-000000000001"}`,
		`{"hardware_id":"\u0000"}`, `{"hardware_id":"\ud800"}`, `{"hardware_id":7}`,
		`{"client_time":null,"is_active":true,"max_devices":1e3}`, `{`, `[]`, ``,
	} {
		f.Add([]byte(data))
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := read(event.Event{
			ID:   "02890000-0000-7000-8000-000000000001",
			Type: "license.validated",
			Time: now,
			Data: data,
		}, now)
		if err != nil {
			return
		}
		if id := e.LicenseID; id != "" && !uid.Is(id) {
			t.Errorf("license_id %q", id)
		}
		for _, text := range []string{e.HardwareID, e.DeviceName, e.ErrorCode, e.AppVersion} {
			if utf8.RuneCountInString(text) > 255 || !utf8.ValidString(text) {
				t.Errorf("text %q", text)
			}
			for _, r := range text {
				if r == 0 {
					t.Errorf("NUL in %q", text)
				}
			}
		}
	})
}
