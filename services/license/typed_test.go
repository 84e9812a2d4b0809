package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
)

// TestC8KeysAndTokensAsTheyArrive: as files, mail programs and input methods deliver them, through the router.
func TestC8KeysAndTokensAsTheyArrive(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.auth.limit = &authv1.RateLimit{}
		id, key := w.create(1, 30)
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		wide := strings.Map(func(r rune) rune { return r - '!' + '！' }, key)
		for _, typed := range []string{
			key + "\r\n", "\n" + key, "\t" + key, key + "\u200b", "\ufeff" + key, key + "\u200e", strings.ToLower(key), strings.ReplaceAll(key, "-", ""),
			strings.ReplaceAll(key, "-", "\u2011"), strings.ReplaceAll(key, "-", "\u2013"), strings.ReplaceAll(key, "-", "\u2212"), wide,
		} {
			if got := w.post("validate", device(typed, "pc")); got.body["valid"] != true {
				t.Errorf("%+q: %d %v", typed, got.status, got.body)
			}
		}
		issued := w.call(http.MethodPost, "/api/v1/license/offline-token", "", w.bearer(id, "pc")...)
		for _, end := range []string{"\n", "\r\n", " ", "\ufeff"} {
			got := w.call(http.MethodPost, "/api/v1/license/validate-offline", fmt.Sprintf(`{"token":%q}`, issued.body["token"].(string)+end))
			w.want(got, http.StatusOK, "")
		}
	})
}
