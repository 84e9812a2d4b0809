package audit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/audit"
)

func TestChanges(t *testing.T) {
	before := map[string]any{"same": []string{"a"}, "number": 1, "gone": "x"}
	after := map[string]any{"same": []string{"a"}, "number": 2, "gone": nil}
	was, is := audit.Changes(before, after)
	if diff := cmp.Diff(map[string]any{"number": 1, "gone": "x"}, was); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"number": 2, "gone": nil}, is); diff != "" {
		t.Error(diff)
	}
	if was, is := audit.Changes(after, after); len(was)+len(is) != 0 {
		t.Errorf("nothing has changed: %v, %v", was, is)
	}
}

func TestEntry(t *testing.T) {
	by := &audit.Actor{Id: "1"}
	e := audit.Entry(by, "license.update", nil, map[string]any{"max_devices": 2})
	if e.GetActor() != by || e.GetAction() != "license.update" || e.GetBeforeJson() != "" ||
		e.GetAfterJson() != `{"max_devices":2}` {
		t.Errorf("got %v", e)
	}
}
