package apierr

import "testing"

func TestFields(t *testing.T) {
	f := Fields{}
	f.Require("a", "x")
	f.MaxLen("a", "ééé", 3)
	f.Range("n", 1, 1, 1)
	f.OneOf("o", "x", "x", "y")
	if err := f.Err(); err != nil {
		t.Fatalf("refused: %v", err)
	}
	f.Require("blank", " \t")
	f.Add("blank", "another")
	f.MaxLen("long", "éééé", 3)
	f.Range("low", 0, 1, 5)
	f.Range("high", 6, 1, 5)
	f.OneOf("odd", "z", "x", "y")
	got := From(f.Err()).Details["fields"].(map[string]string)
	for name, want := range map[string]string{
		"blank": "is required", "long": "must have at most 3 characters", "low": "must be from 1 to 5",
		"high": "must be from 1 to 5",
		"odd":  "must be one of x, y; did you mean x?",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	if len(got) != 5 {
		t.Errorf("got %v", got)
	}
}
