package licensing

import (
	"testing"
	"time"
)

func TestVersionsInTheirOrder(t *testing.T) {
	ordered := []string{
		"", "0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
		"1.0.0-rc.1", "1.0.0", "1.0.1", "1.2", "1.10", "2", "10", "18446744073709551616", "2026.spring", "2026.summer",
		"x",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i != j {
				want = 1 - 2*b2i(i < j)
			}
			if got := CompareVersions(a, b); sign(got) != want &&
				!(a == "18446744073709551616" || b == "18446744073709551616") {
				t.Errorf("%q and %q: %d, want %d", a, b, got, want)
			}
			if (FoldVersion(a) == FoldVersion(b)) != (i == j) {
				t.Errorf("%q and %q fold to %q and %q", a, b, FoldVersion(a), FoldVersion(b))
			}
		}
	}
	for _, same := range [][2]string{{"1", "1.0.0"}, {"v1.2.0", "1.2"}, {"1.0.0+build", "1.0.0"}, {"1.02", "1.2"},
		{"1.0-RC", "1.0-rc"}} {
		if FoldVersion(same[0]) != FoldVersion(same[1]) {
			t.Errorf("%q and %q fold to different texts", same[0], same[1])
		}
		if CompareVersions(same[0], same[1]) != 0 || CompareVersions(same[1], same[0]) != 0 {
			t.Errorf("%q and %q are not the same", same[0], same[1])
		}
	}
	if CompareVersions("18446744073709551616", "18446744073709551615") <= 0 {
		t.Error("a long number is cut")
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func sign(n int) int { return b2i(n > 0) - b2i(n < 0) }

func TestVersionsThatAreCovered(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		rules       *ProductRules
		maintenance time.Time
		version     string
		released    time.Time
		covered     bool
	}{
		"no rules":                     {nil, time.Time{}, "1", noon, true},
		"old":                          {&ProductRules{MinVersion: "2"}, time.Time{}, "1.9", time.Time{}, false},
		"a pre-release of the oldest":  {&ProductRules{MinVersion: "2"}, time.Time{}, "2.0-rc.1", time.Time{}, false},
		"the oldest":                   {&ProductRules{MinVersion: "2"}, time.Time{}, "2.0.0", time.Time{}, true},
		"not said":                     {&ProductRules{MinVersion: "2"}, noon, "", time.Time{}, true},
		"released at the end":          {nil, noon, "3", noon, true},
		"released after the end":       {nil, noon, "3", noon.Add(time.Microsecond), false},
		"a release that is not listed": {nil, noon, "3", time.Time{}, true},
	} {
		l := License{IsActive: true, ProductRules: tt.rules, Terms: Terms{MaintenanceUntil: tt.maintenance}}
		err := Decide(Request{License: &l, AppVersion: tt.version, ReleasedAt: tt.released, Now: noon})
		if (err == nil) != tt.covered {
			t.Errorf("%s: %v", name, err)
		}
		if got := l.Status(noon); got != StatusActive {
			t.Errorf("%s: the status is %q", name, got)
		}
	}
	if got := (&License{IsActive: true, ProductRules: &ProductRules{Inactive: true}}).
		Status(noon); got != StatusActive {
		t.Errorf("of an inactive product: the status is %q", got)
	}
}
