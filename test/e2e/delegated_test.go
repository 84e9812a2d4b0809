//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// TestDelegatedKeysClient has a client that knows the documents of the protocol alone activate more devices than there
// are credits, four times each, at all replicas at once.
func TestDelegatedKeysClient(t *testing.T) {
	each(t, func(w *harness) {
		const credits = 8
		organisation := w.want(w.admin(http.MethodPost, "/delegated/organisations",
			fmt.Sprintf(`{"name":"Doe","credits":%d}`, credits)), http.StatusCreated, "").text("organisation")
		made := w.want(w.admin(http.MethodPost, "/delegated/organisations/"+organisation+"/masters",
			`{"product":"default","operating_system":"linux"}`), http.StatusCreated, "")
		cmd := exec.Command(interpreter(w.T, "-c", "import urllib.request", "python3", "/usr/bin/python3"),
			append([]string{"testdata/delegated_client.py", made.text("master_key"), fmt.Sprint(credits)},
				w.URLs("license")...)...)
		cmd.Stdin = strings.NewReader(made.text("public_key_pem"))
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "all is well") {
			w.Fatalf("%v: %s", err, out)
		}
		shown := w.want(w.admin(http.MethodGet, "/delegated/organisations/"+organisation, ""), http.StatusOK, "")
		charges := w.want(w.admin(http.MethodGet, "/delegated/organisations/"+organisation+"/charges", ""),
			http.StatusOK, "")
		active, counter := w.devices(made.text("license_id"))
		if shown.body["used_credit"] != float64(credits) || charges.body["total"] != float64(credits+1) ||
			active != credits || counter != credits {
			w.Errorf("%s, %v charges, %d devices, the license counts %d", shown.raw, charges.body["total"], active,
				counter)
		}
	})
}
