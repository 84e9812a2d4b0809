//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit/link"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// TestSpectraAnalyzeClients has clients that know the documents of the API alone license an appliance, by files and by
// an account at an upstream, which goes away and comes back.
func TestSpectraAnalyzeClients(t *testing.T) {
	python := interpreter(t, "-c", "import urllib.request", "python3", "/usr/bin/python3")
	bash := interpreter(t, "-c", "command -v curl", "bash")
	each(t, func(w *harness) {
		for name, client := range map[string]struct{ program, script, path string }{
			"Python": {python, "testdata/spectra_client.py", "/api/v1/license"},
			"curl":   {bash, "testdata/spectra_client.sh", "/api/license/v1"},
		} {
			w.Run(name, func(t *testing.T) {
				t.Parallel()
				up := *w
				up.T = t
				a := startAppliance(&up)
				a.program, a.script, a.path = client.program, client.script, client.path
				a.licenseByFile()
				a.licenseByCloud()
			})
		}
	})
}

// appliance is an installation that is licensed by another.
type appliance struct {
	*harness
	upstream              *harness
	way                   *link.Link // to the upstream
	program, script, path string     // the client, and the path of the API that it uses
	key                   string     // of a license of the appliance's own
}

// startAppliance starts an installation that accepts license files of upstream.
func startAppliance(upstream *harness) *appliance {
	upstream.Helper()
	keys := upstream.want(upstream.call(http.MethodGet, upstream.LicenseURL+"/api/v1/license/keys", ""), 200, "")
	root := keys.body["root"].(map[string]any)["public_key_pem"].(string)
	w := own(upstream.T, suite.Options{Embedded: true, Settings: []string{
		"LATCHKEY_EDGE=true", "LATCHKEY_EDGE_ROOTS=" + root, "LATCHKEY_EDGE_PRIVATE_UPSTREAM=true",
		"LATCHKEY_EDGE_CHECK_EVERY=1s",
	}})
	var replicas []string
	for _, url := range upstream.URLs("license") {
		replicas = append(replicas, strings.TrimPrefix(url, "http://"))
	}
	way, err := link.Open(replicas...)
	if err != nil {
		upstream.Fatal(err)
	}
	upstream.Cleanup(way.Close)
	a := &appliance{harness: w, upstream: upstream, way: way}
	_, a.key = a.create(`{"customer_id":"of the appliance"}`)
	return a
}

// ask has the client make a call.
func (a *appliance) ask(call string, arguments ...string) answer {
	a.Helper()
	return a.askWith(a.AdminAPIKey, call, arguments...)
}

func (a *appliance) askWith(token, call string, arguments ...string) answer {
	a.Helper()
	argv := append([]string{a.script, a.LicenseURL + a.path, token, call}, arguments...)
	out, err := exec.CommandContext(a.Context(), a.program, argv...).CombinedOutput()
	status, body, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	code, isNumber := strconv.Atoi(status)
	if err != nil || isNumber != nil {
		a.Fatalf("%s: %v: %s", call, err, out)
	}
	got := answer{status: code, raw: []byte(body)}
	if err := json.Unmarshal(got.raw, &got.body); err != nil {
		a.Fatalf("%s: %d with no JSON object: %s", call, code, body)
	}
	return got
}

// is waits for a status of the license.
func (a *appliance) is(status string) {
	a.Helper()
	a.eventually(func() error {
		if got := a.want(a.ask("status"), 200, ""); got.text("status") != status || len(got.body) != 1 {
			return fmt.Errorf("the status is %s, want %s", got.raw, status)
		}
		return nil
	})
	if got := a.want(a.ask("information"), 200, ""); got.text("status") != status {
		a.Errorf("the information has %s, want %s", got.raw, status)
	}
	a.serves(status == "VALID" || status == "GRACE_PERIOD")
}

// serves reports whether the appliance serves licenses of its own.
func (a *appliance) serves(want bool) {
	a.Helper()
	a.eventually(func() error {
		got := a.license("validate", device(a.key, "a device"))
		if served := got.status == 200; served != want || !served && got.code() != "APPLIANCE_NOT_LICENSED" {
			return fmt.Errorf("validate answers %d %s, want it served: %v", got.status, got.raw, want)
		}
		return nil
	})
}

// file has the upstream make a file for machines, with curl, as its page says.
func (a *appliance) file(licenseID string, machines ...string) string {
	a.Helper()
	ids, err := json.Marshal(machines)
	if err != nil {
		a.Fatal(err)
	}
	path := filepath.Join(a.TempDir(), "license")
	out, err := exec.CommandContext(a.Context(), "curl", "--silent", "--show-error", "--fail-with-body", "--output",
		path, a.upstream.AdminURL+"/api/v1/admin/integrations/spectra/license-file",
		"--header", "X-Admin-API-Key: "+a.upstream.AdminAPIKey, "--header", "Content-Type: application/json",
		"--data", fmt.Sprintf(`{"license_id":%q,"machine_ids":%s}`, licenseID, ids)).CombinedOutput()
	if err != nil {
		a.Fatalf("%v: %s", err, out)
	}
	return path
}

func (a *appliance) licenseByFile() {
	a.is("UNLICENSED")
	machine := a.want(a.ask("generate"), 201, "").text("machineId")
	if got := a.want(a.ask("information"), 200, ""); machine == "" || got.text("machineId") != machine {
		a.Fatalf("the machine id is %q: %s", machine, got.raw)
	}
	licenseID, _ := a.upstream.create(`{"customer_id":"ACME","max_devices":3,"expires_in_days":30}`)
	others := a.file(licenseID, "another machine")
	a.want(a.ask("upload", others), 400, "")
	a.is("UNLICENSED")
	made := a.file(licenseID, machine, "another machine")
	if got := a.ask("upload", made); got.status != 200 && got.status != 201 {
		a.Fatalf("%d %s", got.status, got.raw)
	}
	a.is("VALID")
	got := a.want(a.ask("information"), 200, "")
	if got.text("product") != "default" || got.text("company") != "ACME" || got.text("serialNumber") != licenseID ||
		len(got.text("expiryDate")) != 10 || len(got.text("creationDate")) != 10 || got.body["licenseType"] == "" {
		a.Errorf("the information is %s", got.raw)
	}
	if active, _ := a.upstream.devices(licenseID); active != 2 {
		a.Errorf("%d seats are taken", active)
	}
	a.want(a.ask("upload", a.altered(made)), 400, "")
	a.is("VALID")
	if again := a.want(a.ask("generate"), 201, "").text("machineId"); again == machine {
		a.Errorf("the machine id is %s again", again)
	}
	a.is("UNLICENSED")
	a.want(a.ask("upload", made), 400, "")
}

// altered is a copy of a file with one character changed.
func (a *appliance) altered(path string) string {
	a.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		a.Fatal(err)
	}
	middle := len(raw) / 2
	for raw[middle] == '\n' || raw[middle] == 'A' {
		middle++
	}
	raw[middle] = 'A'
	changed := filepath.Join(a.TempDir(), "altered")
	if err := os.WriteFile(changed, raw, 0o600); err != nil {
		a.Fatal(err)
	}
	return changed
}

func (a *appliance) licenseByCloud() {
	up := a.upstream
	licenseID, key := up.create(`{"customer_id":"ACME","max_devices":1}`)
	connect := func(key, token string) answer {
		// A call of an upstream that is silent ends in so many seconds.
		return a.ask("cloud", "url=http://"+a.way.Addr, "user="+key, "token="+token, "timeout=5")
	}
	a.want(connect("LIC-UNKNOWN", up.APIKey), 400, "")
	a.want(connect(key, "sk_unknown"), 400, "")
	a.is("UNLICENSED")
	a.want(connect(key, up.APIKey), 200, "")
	a.is("VALID")
	if got := a.want(a.ask("information"), 200, ""); strings.Contains(string(got.raw), up.APIKey) ||
		strings.Contains(string(got.raw), key) {
		a.Errorf("the information shows a credential: %s", got.raw)
	}
	up.want(up.admin(http.MethodPost, "/licenses/"+licenseID+"/suspend", `{"reason":"unpaid"}`), 200, "")
	a.is("INVALID")
	up.want(up.admin(http.MethodPost, "/licenses/"+licenseID+"/reinstate", ""), 200, "")
	a.is("VALID")

	a.way.Silence()
	a.is("GRACE_PERIOD")
	a.want(connect(key, up.APIKey), 502, "")
	a.is("GRACE_PERIOD") // what was there before stays
	a.way.Heal()
	a.is("VALID")

	// Another machine id takes the one seat over.
	a.want(a.ask("generate"), 201, "")
	a.is("VALID")
	if active, counter := up.devices(licenseID); active != 1 || counter != 1 {
		a.Errorf("%d seats are taken, the license counts %d", active, counter)
	}
}
