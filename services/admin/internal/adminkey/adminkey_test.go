package adminkey

import "testing"

func TestRoleCovers(t *testing.T) {
	for _, test := range []struct {
		have, need Role
		want       bool
	}{
		{Viewer, Viewer, true}, {Viewer, Operator, false}, {Viewer, Owner, false},
		{Operator, Viewer, true}, {Operator, Operator, true}, {Operator, Owner, false},
		{Owner, Viewer, true}, {Owner, Operator, true}, {Owner, Owner, true},
		{"", Viewer, false}, {"root", Viewer, false}, {"OWNER", Viewer, false}, {"", "", false},
	} {
		if got := test.have.Covers(test.need); got != test.want {
			t.Errorf("%q covers %q: %v", test.have, test.need, got)
		}
	}
}
