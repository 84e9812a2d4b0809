package jsonbody

import "testing"

func TestOptionalOr(t *testing.T) {
	if got := (Optional[int]{}).Or(7); got != 7 {
		t.Errorf("absent: got %d", got)
	}
	if absent, given := (Optional[int]{}).Pointer(), (Optional[int]{Present: true, Value: 3}).
		Pointer(); absent != nil || *given != 3 {
		t.Errorf("pointers: got %v %v", absent, given)
	}
	if got := (Optional[int]{Present: true, Value: 3}).Or(7); got != 3 {
		t.Errorf("present: got %d", got)
	}
	if got := (Optional[int]{Present: true, Null: true}).Or(7); got != 0 {
		t.Errorf("null: got %d", got)
	}
}
