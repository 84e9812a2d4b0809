//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestTheAuditLogKeepsMetadata, as docs/operations.md and the document of admin say: every admin key reads it in
// the log, as it was before and after each change, also when the license does not have it any more.
func TestTheAuditLogKeepsMetadata(t *testing.T) {
	each(t, func(w *harness) {
		viewer := w.want(w.admin(http.MethodPost, "/keys", `{"name":"looks on","role":"viewer"}`), http.StatusCreated,
			"").text("admin_api_key")
		id, _ := w.create(`{"customer_id":"acme","metadata":{"note":"first note"}}`)
		for _, metadata := range []string{`{"note":"second note"}`, `{}`} {
			w.want(w.admin(http.MethodPatch, "/licenses/"+id, `{"metadata":`+metadata+`}`), http.StatusOK, "")
		}
		want := []string{`{"note":"second note"} -> {}`, `{"note":"first note"} -> {"note":"second note"}`,
			`null -> {"note":"first note"}`}
		w.eventually(func() error {
			a, err := try(http.MethodGet, w.AdminURL+"/api/v1/admin/audit?license_id="+id, "", "X-Admin-API-Key",
				viewer)
			var log struct {
				Entries []struct {
					Before, After struct{ Metadata json.RawMessage }
				}
			}
			if err == nil {
				err = json.Unmarshal(a.raw, &log)
			}
			var got []string
			for _, e := range log.Entries {
				before := e.Before.Metadata
				if before == nil {
					before = json.RawMessage("null")
				}
				got = append(got, string(before)+" -> "+string(e.After.Metadata))
			}
			if err != nil || !slices.Equal(got, want) {
				return fmt.Errorf("%d %q, want %q (%v)", a.status, got, want, err)
			}
			return nil
		})
	})
}

// TestTheDocumentsWarnOfMetadata: who puts a secret into metadata has been told where it stays.
func TestTheDocumentsWarnOfMetadata(t *testing.T) {
	for file, words := range map[string]string{
		"../../docs/operations.md":       "Put no secrets into metadata",
		"../../proto/openapi/admin.yaml": "Put no secrets into it: the audit log keeps it forever.",
	} {
		raw, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(raw), words) {
			t.Errorf("%s does not say %q (%v)", file, words, err)
		}
	}
}

// TestSecretsAreStoredNowhere: what is shown once, or sent to be kept secret, stands in no table as it is, the audit
// log and the event log included.
func TestSecretsAreStoredNowhere(t *testing.T) {
	each(t, func(w *harness) {
		var secrets []string
		keep := func(a answer, members ...string) answer {
			w.Helper()
			for _, member := range members {
				if a.text(member) == "" {
					w.Fatalf("no %s in %d %s", member, a.status, a.raw)
				}
				secrets = append(secrets, strings.ToLower(a.text(member)))
			}
			return a
		}
		made := keep(w.admin("POST", "/api-keys", `{"client_name":"kept"}`), "api_key")
		keep(w.admin("POST", "/api-keys/"+made.text("id")+"/rotate", `{"grace_seconds":60}`), "api_key")
		keep(w.admin("POST", "/keys", `{"name":"kept","role":"viewer"}`), "admin_api_key")
		keep(w.admin("POST", "/integrations/licensespring", `{"name":"kept","server_side":true}`), "api_key",
			"shared_key", "client_secret")
		organisation := w.admin("POST", "/delegated/organisations", `{"name":"kept","credits":1}`).text("organisation")
		keep(w.admin("POST", "/delegated/organisations/"+organisation+"/masters",
			`{"product":"default","operating_system":"linux"}`), "master_key")
		license := keep(w.admin("POST", "/licenses", `{"customer_id":"kept"}`), "license_key")
		id := license.text("license_id")
		keep(w.admin("POST", "/licenses/"+id+"/reveal-key", ""), "license_key")
		keep(w.admin("POST", "/licenses/"+id+"/enrollment-keys", `{"label":"kept"}`), "enrollment_key")
		keep(w.admin("POST", "/licenses/"+id+"/rotate-key", `{"overlap_hours":1}`), "license_key")
		w.want(w.admin("PATCH", "/licenses/"+id, `{"metadata":{"note":"last"}}`), 200, "")
		w.eventually(func() error {
			a, err := try("GET", w.AdminURL+"/api/v1/admin/audit?license_id="+id, "", "X-Admin-API-Key", w.AdminAPIKey)
			if err != nil || !strings.Contains(string(a.raw), `"last"`) {
				return fmt.Errorf("the last entry is not there: %d %s %v", a.status, a.raw, err)
			}
			return nil
		})
		if found := w.stored(secrets); len(found) > 0 {
			w.Errorf("%v", found)
		}
		if found := w.stored([]string{"kept"}); !slices.Contains(found["kept"], "admin.audit_entries") {
			w.Errorf("what is no secret is found in %v", found)
		}
	})
}
