//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/test/suite"
)

// compatible names the breaks of compatibility; versions from its last change on run beside one another.
const compatible = "testdata/compatible.md"

// TestPreviousVersionBesideTheNew begins with the oldest compatible version on a database of its own, puts the new one
// in the place of each process, one after the other in random order, and then the old one again, under load: each state
// in between is one of a rolling update or of its way back, with the previous schema, one that is migrated while the
// old version uses it, and the new one under the old version. No call fails.
func TestPreviousVersionBesideTheNew(t *testing.T) {
	w := alone(t, processes)
	previous := buildCommit(t, compatibleCommit(t))
	w.all(previous, w.database("versions"))
	w.Cleanup(func() { w.all(w.Bin, w.Postgres.URL) })
	r := w.behindGateway()
	_, apiKey := w.apiKey(`{"client_name":"versions","allowed_endpoints":["*"],"rate_limit":{"per_minute":0,` +
		`"per_hour":0}}`)
	r.asClient.use("X-API-Key", apiKey)
	id, key := w.create(`{"customer_id":"versions","max_devices":1000000}`)
	stop := r.load(4, append(r.journeys(id, key), r.protected))
	for _, bin := range []string{w.Bin, previous} {
		for _, i := range rand.Perm(len(w.Processes)) {
			w.Processes[i].Use(bin)
			w.restart(w.Processes[i].Name)
		}
	}
	n := stop()
	t.Logf("%d calls and chains of calls answered", n)
	active, counter := w.devices(id)
	if n == 0 || active == 0 || counter != active {
		t.Errorf("%d devices, counter %d", active, counter)
	}
	w.usage(id, "activations", active)
}

// all ends everything, and starts it again from a folder of binaries and on a database.
func (w *harness) all(bin, database string) {
	w.Helper()
	w.stopAll()
	for _, p := range w.Processes {
		p.Use(bin)
		p.Set("LATCHKEY_DATABASE_URL=" + database)
	}
	w.startAll()
}

// compatibleCommit is the one that last changed the list of breaks. A commit that only moves the file breaks nothing:
// it is a rename (R), neither an addition nor a change.
func compatibleCommit(t *testing.T) string {
	t.Helper()
	log := []string{"log", "-1", "--follow", "--diff-filter=AM", "--format=%H", "--", compatible}
	out, err := exec.CommandContext(t.Context(), "git", log...).Output()
	commit := strings.TrimSpace(string(out))
	if err != nil || commit == "" {
		t.Fatalf("git log %s: %q, %v; the test needs the git working tree, with this file committed",
			compatible, commit, err)
	}
	return commit
}

func buildCommit(t *testing.T, commit string) (bin string) {
	t.Helper()
	bin, err := suite.BuildCommit(t.Context(), commit, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("beside commit %.12s", commit)
	return bin
}

// beforeTerms is the last commit whose licenses had seats, an end and features, and nothing else.
const beforeTerms = "1e1bc45"

// TestUpgradeWithOlderLicenses upgrades a database of the build that knew no terms, process by process with admin
// last, while both versions work on it: no call fails, and older licenses are what they were.
func TestUpgradeWithOlderLicenses(t *testing.T) {
	w := own(t, suite.Options{Bin: buildCommit(t, beforeTerms), Replicas: 2,
		Settings: []string{"LATCHKEY_ADDRESS_LIMITS=false", "LATCHKEY_TOKEN_RATE_LIMIT=0"}})
	id, key := w.create(`{"customer_id":"older","max_devices":1000000,"product":"Photo Lab 2",` +
		`"features":["export"]}`)
	ended, endedKey := w.create(`{"customer_id":"older"}`)
	w.want(w.admin(http.MethodPatch, "/licenses/"+ended, `{"expires_at":"2020-01-01T00:00:00Z"}`), http.StatusOK, "")
	w.want(w.license("activate", device(key, "pc")), http.StatusCreated, "")

	r := w.behindGateway()
	// PostgreSQL refuses a "SELECT *" that the older build prepared, once a column is added; and the older build
	// answers 503 where a peer service restarts at the wrong moment.
	r.again = true
	stop := r.load(2, r.journeys(id, key))
	for _, service := range []string{"analytics", "auth", "license", "admin"} {
		for _, p := range w.Processes {
			if p.Service() == service {
				p.Use(w.Bin)
				w.restart(p.Name)
			}
		}
	}
	t.Logf("%d calls answered", stop())

	active, counter := w.devices(id)
	if active == 0 || counter != active {
		t.Errorf("%d devices, counter %d", active, counter)
	}
	w.usage(id, "activations", active)
	valid := w.want(w.license("validate", device(key, "pc")), http.StatusOK, "")
	if valid.body["valid"] != true || fmt.Sprint(valid.body["features"]) != "[export]" {
		t.Errorf("an older license: %s", valid.raw)
	}
	w.want(w.license("validate", device(endedKey, "pc")), http.StatusForbidden, "LICENSE_EXPIRED")
	for license, want := range map[string]string{
		id: "perpetual active Photo-Lab-2", ended: "time-limited expired default",
	} {
		a := w.want(w.admin(http.MethodGet, "/licenses/"+license, ""), http.StatusOK, "")
		got := fmt.Sprint(a.body["license_type"], " ", a.body["status"], " ", a.body["product"])
		if got != want {
			t.Errorf("an older license is %s, want %s", got, want)
		}
	}
}
