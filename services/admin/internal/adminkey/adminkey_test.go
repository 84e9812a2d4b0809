package adminkey

import (
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

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

// TestAdminKeysAreCheckedByTheirForm before the database is asked.
func TestAdminKeysAreCheckedByTheirForm(t *testing.T) {
	made := secret.New("ak_")
	other := "x"
	if made[10] == 'x' {
		other = "y"
	}
	for key, want := range map[string]bool{
		made: true, made[:len(made)-1] + "-": false, made[:10] + other + made[11:]: false, made + "x": true,
		"ak_a key from a configuration": true, "x": true,
		"": false, strings.Repeat("x", 512): true, strings.Repeat("x", 513): false, "schlüssel": false, "a\x7f": false,
		"a\tb": false,
	} {
		if got := WellFormed(key); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}
