package license_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/openapitest"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

// notations are those of an id that is read nowhere.
func notations(id string) []string {
	return []string{"{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), "{" + strings.ToUpper(id) + "}"}
}

// TestNoSpellingOfAnIDFails: no route answers a 5xx, whatever it is sent for an id.
func TestNoSpellingOfAnIDFails(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		id, _ := w.create(3, 30)
		openapitest.Spell(w.t, openapi.License, id, w.engine, http.Header{apikey.Header: {w.auth.apiKey}})
		openapitest.Spell(w.t, openapi.Admin, id, w.front(ada), nil)
	})
}

// TestAnIDHasOneSpelling: in upper case it is read as the id, in other notations it is none, and what is kept has one.
func TestAnIDHasOneSpelling(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(3, 30)
		organisation := w.organisation(5)
		calls := map[string]struct {
			call   func(id string) answer
			good   int
			status int
		}{
			"block": {func(id string) answer {
				return w.blocks("POST", "", fmt.Sprintf(`{"hardware_id":"pc","reason":"r","license_id":%q}`, id))
			}, 201, 400},
			"delegated master": {func(id string) answer {
				return w.delegation("POST", "/organisations/"+organisation+"/masters",
					fmt.Sprintf(`{"product":"default","operating_system":"linux","license_id":%q}`, id))
			}, 201, 400},
		}
		for name, c := range calls {
			for _, odd := range notations(id) {
				if got := c.call(odd); got.status != c.status {
					t.Errorf("%s of %s: %d %s, want %d", name, odd, got.status, got.raw, c.status)
				}
			}
			if got := c.call(strings.ToUpper(id)); got.status != c.good || !strings.Contains(got.raw, id) {
				t.Errorf("%s in upper case: %d %s, want %d", name, got.status, got.raw, c.good)
			}
		}
		block := w.blocks("POST", "", `{"hardware_id":"other","reason":"r"}`).body["block_id"].(string)
		for _, odd := range notations(block) {
			w.want(w.blocks("DELETE", "/"+odd, ""), http.StatusNotFound, "BLOCK_NOT_FOUND")
			cursor := base64.RawURLEncoding.EncodeToString([]byte("z2kfxe8x8z " + odd))
			w.want(w.blocks("GET", "?cursor="+cursor, ""), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		w.want(w.blocks("DELETE", "/"+strings.ToUpper(block), ""), http.StatusOK, "")
		if odd := w.stored(append(notations(id), strings.ToUpper(id))); len(odd) > 0 {
			t.Errorf("kept: %v", odd)
		}
	})
}

// TestEraseWhatIsMisspelled: earlier versions kept events about a license as callers had spelled its id.
func TestEraseWhatIsMisspelled(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		id, _ := w.plant()
		odd := append(notations(id), strings.ToUpper(id))
		err := w.db.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			for i, subject := range odd {
				err := tx.Exec(`INSERT INTO outbox (id, type, source, subject, occurred_at, data)
					SELECT ?, 'device.blocked', source, ?, occurred_at, ? FROM outbox WHERE subject = ? LIMIT 1`,
					fmt.Sprintf("0199d3c4-7a10-7c3e-9f65-0c1d4e5f6a%02d", i), subject,
					fmt.Sprintf(`{"license_id":%q,"reason":"planted-metadata","customer_id":%q}`, subject, planted[0]),
					id).Error
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w.want(w.customers("POST", "/planted-id@example.com/erase", ""), http.StatusOK, "")
		testkit.Eventually(t, patience, func() error {
			if left := w.stored(planted); len(left) > 0 {
				return fmt.Errorf("left: %v", left)
			}
			return nil
		})
		if kept := w.stored(odd[:1]); len(kept) != 1 {
			t.Errorf("the events stand in %v", kept)
		}
		w.clock.Advance(time.Minute)
	})
}

// TestNamesThatAreNoText: no name in a path is made of them, and none is found.
func TestNamesThatAreNoText(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(3, 30)
		for _, name := range []string{"%FF", "%C0%AF", "%ED%A0%80", "%00", "a%00b", "a%1Fb"} {
			for call, status := range map[string]int{
				"PUT /entitlements/": 400, "DELETE /entitlements/": 404, "PUT /counters/": 400,
				"DELETE /counters/": 404, "GET /devices/": 404,
			} {
				method, path, _ := strings.Cut(call, " ")
				got := w.manage(method, "/"+id+path+name, map[string]string{"PUT": "{}"}[method])
				if got.status != status {
					t.Errorf("%s%s: %d %s, want %d", call, name, got.status, got.raw, status)
				}
			}
			w.want(w.customers("PUT", "/"+name, `{"name":"x"}`), http.StatusBadRequest, "VALIDATION_ERROR")
			w.want(w.customers("GET", "/"+name, ""), http.StatusNotFound, "CUSTOMER_NOT_FOUND")
		}
	})
}
