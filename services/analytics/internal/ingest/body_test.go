package ingest

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// FuzzPlainBody demands that what the short way reads, the general decoder reads the same.
func FuzzPlainBody(f *testing.F) {
	for _, data := range []string{
		`{"license_id":"01890000-0000-7000-8000-000000000001","device_id":"x","hardware_id":"aä","ip":"127.0.0.1","current_devices":1,"max_devices":1000000,"version":1,"returning":false,"country":"","lat":-12.5,"lon":0,"asn":4294967295,"net_kind":""}`,
		`{"client_time":null,"expires_at":"2026-03-18T12:00:00.5Z","created_at":"2026-03-18T12:00:00+01:00","is_test":true,"is_active":false,"by":"admin","x":-7}`,
		`{}`, `{"version":1.0}`, `{"version":01}`, `{"lat":1e3}`, `{"lat":NaN}`, `{"lat":-Inf}`, `{"lat":-0}`, `{"asn":-1}`, `{"OS":"x","os":"y"}`, `{"os":"y","oS":"x"}`, `{"os":null}`, `{"x":[1]}`, `{"x":{}}`,
		`{"os":"a\nb"}`, `{"os":"\u0041"}`, `{"os":"a"} `, `{"os":"a",}`, `{"os" : "a"}`, `{"client_time":"x"}`, `{"version":9223372036854775807}`, `{"x":tru}`, `{"os":"a","os":"b"}`,
		`{"client_time":"2026-03-18T12:00:00Z","client_time":null}`, "{\"\u017fession_id\":\"a\"}", `{"x":1.5}`, `{"":1}`,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want usage.Body
		if !utf8.Valid(data) || !plainBody(data, &got) {
			return
		}
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("%s: read, but %v", data, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-general +plain):\n%s", data, diff)
		}
	})
}

// TestBodiesArePlain keeps the short way from falling out of use.
func TestBodiesArePlain(t *testing.T) {
	for _, data := range []string{
		`{"license_id":"01890000-0000-7000-8000-000000000001","hardware_id":"device-1","device_name":"desk","os":"Linux 6","app_version":"1.2","session_id":"","ip":"10.0.0.7","via_proxy":true,"client_time":null}`,
		`{"license_id":"01890000-0000-7000-8000-000000000001","device_id":"x","hardware_id":"y","current_devices":1,"max_devices":1000000,"version":1,"returning":false,"country":"","lat":52.52,"lon":-0.1,"asn":7,"net_kind":""}`,
		`{"customer_id":"acme","expires_at":"2026-03-18T12:00:00Z","is_active":true,"reason":""}`,
	} {
		if !plainBody([]byte(data), &usage.Body{}) {
			t.Errorf("%s is read the long way", data)
		}
	}
}
