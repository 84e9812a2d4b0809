//go:build unix

package e2e

import (
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/test/suite"
)

// compatible names the breaks of compatibility; versions from its last change on run beside one another.
const compatible = "testdata/compatible.md"

// TestPreviousVersionBesideTheNew puts the oldest compatible version in the place of each process, one after the other
// in random order, and then the new one again, under load: each state in between is one of a rolling update or of its
// way back, and no call fails.
func TestPreviousVersionBesideTheNew(t *testing.T) {
	w := start(t, false)
	// A commit that only moves the file breaks nothing: it is a rename (R), neither an addition nor a change.
	log := []string{"log", "-1", "--follow", "--diff-filter=AM", "--format=%H", "--", compatible}
	out, err := exec.CommandContext(t.Context(), "git", log...).Output()
	commit := strings.TrimSpace(string(out))
	if err != nil || commit == "" {
		t.Fatalf("git log %s: %q, %v; the test needs the git working tree, with this file committed",
			compatible, commit, err)
	}
	previous, err := suite.BuildCommit(t.Context(), commit, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("beside commit %.12s", commit)
	r := w.behindGateway()
	id, key := w.create(`{"customer_id":"versions","max_devices":1000000}`)
	stop := r.load(4, r.journeys(id, key))
	for _, bin := range []string{previous, w.Bin} {
		for _, i := range rand.Perm(len(w.Processes)) {
			p := w.Processes[i]
			p.Use(bin)
			w.Cleanup(func() { p.Use(w.Bin) })
			w.restart(p.Name)
		}
	}
	n := stop()
	t.Logf("%d calls answered", n)
	active, counter := w.devices(id)
	if n == 0 || active == 0 || counter != active {
		t.Errorf("%d devices, counter %d", active, counter)
	}
	w.usage(id, "activations", active)
}
