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
	each(t, func(w *harness) {
		w.license("activate", device(w.LicenseKey, "device-123")) // already there from another test, or now
		adapt := strings.NewReplacer("sk_your_api_key", w.APIKey, "http://localhost:5002", w.LicenseURL,
			"LIC-XXXXXXXXXXXX", w.LicenseKey)
		for file, interpreter := range map[string]string{
			"validate.py": interpreter(t, "-c", "import requests", "python3", "/usr/bin/python3"),
			"validate.js": interpreter(t, "-e", "fetch", "node"),
		} {
			source, err := os.ReadFile("testdata/" + file)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(interpreter, "-")
			cmd.Stdin = strings.NewReader(adapt.Replace(string(source)))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "License is valid!") {
				t.Errorf("%s: %v: %s", file, err, out)
			}
		}
	})
}

// interpreter is the first of the programs that can run what the example needs.
func interpreter(t *testing.T, flag, needs string, programs ...string) string {
	t.Helper()
	for _, program := range programs {
		if exec.Command(program, flag, needs).Run() == nil {
			return program
		}
	}
	testkit.NotCovered(t, "an example needs one of %v that can do %q", programs, needs)
	return ""
}
