package nearest_test

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/nearest"
)

func TestName(t *testing.T) {
	known := []string{"customer_id", "max_devices", "expires_at", "features", "LATCHKEY_DATABASE_URL", "id"}
	for written, want := range map[string]string{
		"max_device": "max_devices", "maxDevices": "max_devices", "MAX-DEVICES": "max_devices",
		"exipres_at": "expires_at", "feature": "features", "custommer_id": "customer_id", "customer": "customer_id",
		"LATCHKEY_DATABSE_URL": "LATCHKEY_DATABASE_URL", "di": "", "ids": "id", "colour": "", "": "",
		strings.Repeat("x", 129): "", strings.Repeat("_", 120) + "id": "id", "\xff\xfe": "",
	} {
		if got := nearest.Name(written, known); got != want {
			t.Errorf("%.40q: got %q, want %q", written, got, want)
		}
	}
	if got := nearest.Name("x", nil); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
