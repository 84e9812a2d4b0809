//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// TestExamples runs the examples of the main API's document, adapted in key and address only.
func TestExamples(t *testing.T) {
	each(t, func(w *world) {
		w.license("activate", device(w.LicenseKey, "device-123")) // already there from the other runs, or now
		adapt := strings.NewReplacer("sk_your_api_key", w.APIKey, "http://localhost:5002", w.LicenseURL, "LIC-XXXXXXXXXXXX", w.LicenseKey)
		for _, example := range []struct{ file, program, needs string }{
			{"validate.py", "/usr/bin/python3", "import requests"},
			{"validate.js", "node", "fetch"},
		} {
			t.Run(example.file, func(t *testing.T) {
				if out, err := exec.Command(example.program, strings.Fields(map[string]string{"validate.py": "-c", "validate.js": "-e"}[example.file])[0], example.needs).CombinedOutput(); err != nil {
					testkit.NotCovered(t, "%s: %v %s", example.file, err, out)
				}
				source, err := os.ReadFile("testdata/" + example.file)
				if err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(example.program, "-")
				cmd.Stdin = strings.NewReader(adapt.Replace(string(source)))
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), "License is valid!") {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	})
}
