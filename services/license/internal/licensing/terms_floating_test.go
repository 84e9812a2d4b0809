package licensing

import "testing"

func TestFloatingTermsThatAreWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		edit  func(*FloatingTerms)
		short bool
		want  string // the member that is wrong, empty for none
	}{
		"the defaults":         {edit: func(*FloatingTerms) {}},
		"no slots":             {edit: func(f *FloatingTerms) { f.Slots = 0 }, want: "floating.slots"},
		"the most slots":       {edit: func(f *FloatingTerms) { f.Slots = 100_000 }},
		"too many slots":       {edit: func(f *FloatingTerms) { f.Slots = 100_001 }, want: "floating.slots"},
		"the shortest lease":   {edit: func(f *FloatingTerms) { f.LeaseSeconds = 10 }},
		"too short a lease":    {edit: func(f *FloatingTerms) { f.LeaseSeconds = 9 }, want: "floating.lease_seconds"},
		"short in development": {edit: func(f *FloatingTerms) { f.LeaseSeconds = 1 }, short: true},
		"nothing in development": {edit: func(f *FloatingTerms) { f.LeaseSeconds = 0 }, short: true,
			want: "floating.lease_seconds"},
		"a day": {edit: func(f *FloatingTerms) { f.LeaseSeconds = 86_400 }},
		"more than a day": {edit: func(f *FloatingTerms) { f.LeaseSeconds = 86_401 },
			want: "floating.lease_seconds"},
		"borrowed for a year": {edit: func(f *FloatingTerms) { f.BorrowMaxHours = 8760 }},
		"borrowed for longer": {edit: func(f *FloatingTerms) { f.BorrowMaxHours = 8761 },
			want: "floating.borrow_max_hours"},
		"another overflow":   {edit: func(f *FloatingTerms) { f.Overflow = "" }, want: "floating.overflow"},
		"another activation": {edit: func(f *FloatingTerms) { f.Activation = "" }, want: "floating.activation"},
	} {
		f := DefaultFloatingTerms(5)
		tc.edit(&f)
		problems := map[string]string{}
		c := TermsChange{Floating: Optional[FloatingTerms]{Present: true, Value: f}, ShortLeases: tc.short}
		c.floatingProblems(problems)
		_, found := problems[tc.want]
		if found != (tc.want != "") || len(problems) > 1 {
			t.Errorf("%s: %v, want %q", name, problems, tc.want)
		}
	}
}
