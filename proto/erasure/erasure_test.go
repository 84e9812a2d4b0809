package erasure_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/proto/erasure"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestRules(t *testing.T) {
	r := erasure.New("ada@example.com", "gone", noon)
	for name, tt := range map[string]struct{ data, scrubbed, renamed string }{
		"nothing": {`{"license_id":"l","n":1.50}`, `{"license_id":"l","n":1.50}`, `{"license_id":"l","n":1.50}`},
		"the id": {`{"customer_id":"ada@example.com","n":12345678901234567890}`,
			`{"customer_id":"gone","n":12345678901234567890}`, `{"customer_id":"gone","n":12345678901234567890}`},
		"another": {`{"customer_id":"ada@example.co"}`, `{"customer_id":"ada@example.co"}`,
			`{"customer_id":"ada@example.co"}`},
		"a device": {`{"device_name":"Ada's","ip":"192.0.2.1","hardware_id":"h"}`,
			`{"device_name":"","hardware_id":"h","ip":""}`,
			`{"device_name":"Ada's","ip":"192.0.2.1","hardware_id":"h"}`},
		"an entry of the audit log": {`{"actor":{"name":"Op","ip":"192.0.2.9"},` +
			`"after_json":"{\"customer_id\":\"ada@example.com\",\"metadata\":{\"a\":1}}"}`,
			`{"actor":{"ip":"192.0.2.9","name":"Op"},"after_json":"{\"customer_id\":\"gone\",\"metadata\":{}}"}`,
			`{"actor":{"ip":"192.0.2.9","name":"Op"},"after_json":"{\"customer_id\":\"gone\",` +
				`\"metadata\":{\"a\":1}}"}`},
		"what was said of an anomaly": {`{"after_json":"{\"anomaly_id\":\"a\",\"note\":\"Ada, 192.0.2.1\"}"}`,
			`{"after_json":"{\"anomaly_id\":\"a\",\"note\":\"\"}"}`,
			`{"after_json":"{\"anomaly_id\":\"a\",\"note\":\"Ada, 192.0.2.1\"}"}`},
		"a person": {`{"email":"a@b","name":"Ada"}`, `{"email":"","name":""}`, `{"email":"a@b","name":"Ada"}`},
		"an entitlement": {`{"code":"x","name":"Export"}`, `{"code":"x","name":"Export"}`,
			`{"code":"x","name":"Export"}`},
		"what is no JSON": {`ada@example.com`, `ada@example.com`, `ada@example.com`},
	} {
		for want, clean := range map[string]func([]byte, time.Time) ([]byte, bool){
			tt.scrubbed: r.Apply, tt.renamed: r.Rename,
		} {
			got, changed := clean([]byte(tt.data), noon)
			if string(got) != want || changed != (want != tt.data) {
				t.Errorf("%s: %s, changed %v; want %s", name, got, changed, want)
			}
			if again, changed := clean(got, noon); changed {
				t.Errorf("%s: not done at once: %s", name, again)
			}
		}
		if got, _ := r.Apply([]byte(tt.data), noon.Add(time.Second)); string(got) != tt.renamed {
			t.Errorf("%s after the erasure: %s", name, got)
		}
		// Somebody else has the id by then.
		for _, clean := range []func([]byte, time.Time) ([]byte, bool){r.Apply, r.Rename} {
			got, changed := clean([]byte(tt.data), noon.Add(erasure.Slack+time.Second))
			if string(got) != tt.data || changed {
				t.Errorf("%s long after the erasure: %s, changed %v", name, got, changed)
			}
		}
	}
}
