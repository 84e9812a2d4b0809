package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
)

// TestKeysAndTokensAsTheyArrive: as files, mail programs and input methods deliver them, through the router.
func TestKeysAndTokensAsTheyArrive(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = &authv1.RateLimit{}
		id, key := w.create(1, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		wide := strings.Map(func(r rune) rune { return r - '!' + '！' }, key)
		for _, typed := range []string{
			key + "\r\n", "\n" + key, "\t" + key, key + "\u200b", "\ufeff" + key, key + "\u200e", strings.ToLower(key),
			strings.ReplaceAll(key, "-", ""),
			strings.ReplaceAll(key, "-", "\u2011"), strings.ReplaceAll(key, "-", "\u2013"),
			strings.ReplaceAll(key, "-", "\u2212"), wide,
			// wrapped by a mail program
			key[:8] + "\n" + key[8:], key[:8] + "\r\n\t" + key[8:], key[:8] + "\u2028" + key[8:],
		} {
			if got := w.post("validate", device(typed, "pc")); got.body["valid"] != true {
				t.Errorf("%+q: %d %v", typed, got.status, got.body)
			}
		}
		w.want(w.post("validate", device(key[:8]+"\x00"+key[8:], "pc")), http.StatusBadRequest, "VALIDATION_ERROR")
		w.want(w.post("validate", device("ACME-PRO\nOLIVE-10", "pc")), http.StatusBadRequest, "VALIDATION_ERROR")
		issued := w.call(http.MethodPost, "/api/v1/license/offline-token", "", w.bearer(id, "pc")...)
		for _, end := range []string{"\n", "\r\n", " ", "\ufeff"} {
			got := w.call(http.MethodPost, "/api/v1/license/validate-offline",
				fmt.Sprintf(`{"token":%q}`, issued.body["token"].(string)+end))
			w.want(got, http.StatusOK, "")
		}
	})
}

// TestPlaceholdersAreNoHardwareIDs: new devices are told for what to look instead, by activate and by transfer.
func TestPlaceholdersAreNoHardwareIDs(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(3, 30)
		for _, hardwareID := range []string{"None", "null", "undefined", "Default string", "To be filled by O.E.M.",
			"00000000-0000-0000-0000-000000000000"} {
			got := w.post("activate", device(key, hardwareID))
			w.want(got, http.StatusBadRequest, "HARDWARE_ID_NOT_UNIQUE")
			if !strings.Contains(fmt.Sprint(got.body["error"]), "/etc/machine-id") {
				t.Errorf("no better source is named: %v", got.body)
			}
		}
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		w.want(w.manage("POST", "/"+id+"/transfer", `{"from_hardware_id":"pc","to_hardware_id":"unknown"}`),
			http.StatusBadRequest, "HARDWARE_ID_NOT_UNIQUE")
		w.want(w.post("validate", device(key, "pc")), http.StatusOK, "")
		w.eventually("license.activation.refused")
	})
}
