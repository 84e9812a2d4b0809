package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// TestHelpOfEachCommand: it needs no data, and is that of the command.
func TestHelpOfEachCommand(t *testing.T) {
	t.Setenv("LATCHKEY_DATA_DIR", filepath.Join(t.TempDir(), "none"))
	told := map[string]string{}
	for name := range commands {
		var out bytes.Buffer
		if err := run(t.Context(), []string{name, "--help"}, &out, io.Discard); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text := out.String()
		if !strings.Contains(text, name) || len(text) < 150 || strings.Contains(text, "--auth-addr") {
			t.Errorf("%s --help says %s", name, text)
		}
		if told[text] != "" {
			t.Errorf("%s says what %s says", name, told[text])
		}
		told[text] = name
	}
}

// TestImportTakesTheDataDirectory: settings stand before a command.
func TestImportTakesTheDataDirectory(t *testing.T) {
	for args, want := range map[string]string{
		"import x.csv":                  " x.csv",
		"--data-dir d import --dry-run": "d --dry-run",
		"--data-dir=d import x.csv":     "d x.csv",
		"restore import":                "none",
		"--data-dir import":             "none",
		"--env production import x.csv": "none",
	} {
		got := "none"
		if dir, after, found := importArgs(strings.Fields(args)); found {
			got = dir + " " + strings.Join(after, " ")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}

// TestWrongCommandsSayWhatIsRight where something near it is meant.
func TestWrongCommandsSayWhatIsRight(t *testing.T) {
	for args, want := range map[string]string{
		"version extra":                 "stands alone",
		"--maintenance false":           "--maintenance=false",
		"--env production import x.csv": "--data-dir alone",
		"backup":                        "latchkey backup FOLDER",
	} {
		err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
