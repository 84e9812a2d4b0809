package importer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

// Nothing is made of a license of which a line is refused: its terms may stand in that line.
func TestOneWrongLine(t *testing.T) {
	const first, second = "KEY-00001,acme,1,2026-12-31,a", "KEY-00001,,,,b"
	for name, test := range map[string]struct {
		lines, refused, created string
		args                    []string
	}{
		"the first":         {"KEY-00001,acme,1,31/12/2026,a\n" + second, "2 3", "", nil},
		"the last":          {first + "\n" + second + "\nKEY-00001,,many,,c", "2 3 4", "", nil},
		"that contradicts":  {first + "\nKEY-00001,,2,,b", "2 3", "", nil},
		"of too many cells": {"KEY-00001,acme,1,1,2026-12-31,a\n" + second, "2 3", "", nil},
		"of another day":    {"KEY-00001,acme,1,2026-12-31 12:00:00+24:00,a\n" + second, "2 3", "", nil},
		"not in UTF-8":      {"KEY-00001,acme,1,2026-12-31,\xff\n" + second, "2 3", "", nil},
		"a quote":           {"KEY-00001,\"acme\"s,1,2026-12-31,a\n" + second, "2 3", "", nil},
		"an open quote":     {"KEY-00000,\"acme,1,\n" + first + "\nKEY-x,\"x\n" + second, "2 5", "", nil},
		"without a key":     {",acme,1,2026-12-31,a\n" + second + "\nKEY-00002,b,1,,", "2 3", "KEY-00002", nil},
		"without a key, after it": {first + "\n,,,,b\n" + second + "\nKEY-00002,b,1,,", "2 3 4", "KEY-00002",
			nil},
		"elsewhere": {"KEY-00001,acme,1,31/12/2026,a\nKEY-00002,b,1,,\n" + second, "2 4", "KEY-00002",
			[]string{"--update"}},
		"far below": {"KEY-00001,acme,1,,a\nKEY-00002,b,1,,\nkey-00001,,,31/12/2026,b", "2 4", "KEY-00002", nil},
		"far below an update": {first + "\nKEY-00002,b,1,,\nKEY-00001,,,31/12/2026,b\nKEY-00003,c,1,,\n" + second,
			"2 4 6", "KEY-00002 KEY-00003", []string{"--update"}},
		"that comes again": {first + "\nKEY-00002,b,1,,\n" + second, "2 4", "KEY-00002", nil},
		"of the API": {"KEY-00009,acme,1,,a\nKEY-00002,b,1,,\nkey-00009,,,,b", "2 4", "KEY-00009 KEY-00002",
			[]string{"--update"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			a.answers["KEY-00009"] = `{"outcome":"failed","error_code":"DEVICE_LIMIT_EXCEEDED","error":"full"}`
			_, report, err := a.imports(t,
				"license_key,customer_id,max_devices,expires_at,hardware_id\n"+test.lines+"\n",
				test.args...)
			var refused, keys []string
			for _, line := range strings.Split(strings.TrimSpace(report), "\n")[1:] {
				number, _, _ := strings.Cut(line, ",")
				refused = append(refused, number)
			}
			for _, c := range a.calls {
				for _, l := range c.Licenses {
					keys = append(keys, fmt.Sprint(l["license_key"]))
				}
			}
			if err == nil || strings.Join(refused, " ") != test.refused || strings.Join(keys, " ") != test.created {
				t.Errorf("sent %q: %v\n%s", keys, err, report)
			}
		})
	}
}

// Keys that differ by case alone are one license here, so they cannot belong to two customers.
func TestOneKeyOfTwoCustomers(t *testing.T) {
	for name, file := range map[string]string{
		"side by side": "qqqqEFGH-1234,alice\nQQQQefgh\u20131234,bob\n",
		"apart":        "qqqqEFGH-1234,alice\nother-key,carol\nQQQQefgh-1234,bob\n",
	} {
		for _, update := range []string{"--update=false", "--update"} {
			a := newAPI(t)
			_, report, err := a.imports(t, "license_key,customer_id\n"+file, update)
			if err == nil || strings.Contains(report, "--update") ||
				strings.Contains(strings.Join(a.sent(), ""), "bob") {
				t.Errorf("%s, %s: %v\n%s\n%s", name, update, err, report, a.sent())
			}
		}
	}
}

// Calls are cut by bytes too: an import that the API refuses as too large would never end.
func TestLargeLicenses(t *testing.T) {
	a := newAPI(t)
	file, metadata := "license_key,metadata.note\n", strings.Repeat("x", 1<<19)
	for i := range 20 {
		file += fmt.Sprintf("KEY-%05d,%s\n", i, metadata)
	}
	if said, report, err := a.imports(t, file); err != nil || len(a.calls) != 2 || len(a.sent()) != 20 {
		t.Errorf("%d calls: %s %s %v", len(a.calls), said, report, err)
	}
}

// A report is written over an earlier one, and over nothing else.
func TestReportsOverwriteReportsOnly(t *testing.T) {
	a := newAPI(t)
	const file = "license_key,max_devices\nKEY-00001,many\n"
	at := filepath.Join(t.TempDir(), "other.csv")
	if err := os.WriteFile(at, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := a.imports(t, file, "--report", at)
	if kept, _ := os.ReadFile(at); !errors.As(err, new(*app.ArgumentError)) || string(kept) != file {
		t.Errorf("%v, and the file is now %q", err, kept)
	}
	at += ".report"
	for range 2 {
		_, _, err := a.imports(t, file, "--report", at)
		if report, _ := os.ReadFile(at); errors.As(err, new(*app.ArgumentError)) ||
			strings.Count(string(report), "\n") != 2 {
			t.Errorf("%v, %q", err, report)
		}
	}
}
