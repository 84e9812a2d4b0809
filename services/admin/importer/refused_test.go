package importer

import (
	"fmt"
	"strings"
	"testing"
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
		"not in UTF-8":      {"KEY-00001,acme,1,2026-12-31,\xff\n" + second, "2 3", "", nil},
		"a quote":           {"KEY-00001,\"acme\"s,1,2026-12-31,a\n" + second, "2 3", "", nil},
		"an open quote":     {"KEY-00000,\"acme,1,\n" + first + "\nKEY-x,\"x\n" + second, "2 5", "", nil},
		"without a key":     {",acme,1,2026-12-31,a\n" + second + "\nKEY-00002,b,1,,", "2 3", "KEY-00002", nil},
		"without a key, after it": {first + "\n,,,,b\n" + second + "\nKEY-00002,b,1,,", "2 3 4", "KEY-00002",
			nil},
		"elsewhere": {"KEY-00001,acme,1,31/12/2026,a\nKEY-00002,b,1,,\n" + second, "2 4", "KEY-00002",
			[]string{"--update"}},
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
