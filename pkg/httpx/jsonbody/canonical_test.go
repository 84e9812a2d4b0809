package jsonbody

import (
	"reflect"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	deep := strings.Repeat(`{"b":`, 40) + "1" + strings.Repeat(`, "a":1}`, 40)
	for name, tt := range map[string]struct{ text, want string }{
		"order":         {`{"b":{"d":1,"c":[{"f":1,"e":2}]},"a":"x"}`, `{"a":"x","b":{"c":[{"e":2,"f":1}],"d":1}}`},
		"blanks":        {"\n{ \"a\" : [ 1 , 2 ] }\t", `{"a":[1,2]}`},
		"escapes":       {`{"\u0061":"\u00e9\/"}`, `{"a":"é/"}`},
		"lists":         {`[2,1]`, `[2,1]`},
		"whole numbers": {`{"a":9007199254740993,"b":1.0}`, `{"a":9007199254740993,"b":1.0}`},
		"a name twice":  {`{"b":1, "a":2, "b":3}`, `{"b":1, "a":2, "b":3}`},
		"no JSON":       {`{"b":1, "a"`, `{"b":1, "a"`},
		"two texts":     {`{} {}`, `{} {}`},
		"bad UTF-8":     {"{\"a\": \"\xff\"}", "{\"a\": \"\xff\"}"},
		"too deep":      {deep, deep},
		"nothing":       {"", ""},
	} {
		text := []byte(tt.text)
		if got := Canonical(text); string(got) != tt.want || string(text) != tt.text {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// FuzzCanonical: the form is one of the same value, and its own.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"b":[{"z":1e3,"a":null}],"a":"\u00e9"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var before, after map[string]any
		form := Canonical(raw)
		if again := Canonical(form); string(again) != string(form) {
			t.Errorf("%q has the forms %q and %q", raw, form, again)
		}
		if Decode(raw, &before) != nil {
			return
		}
		if err := Decode(form, &after); err != nil {
			t.Fatalf("%q became %q: %v", raw, form, err)
		}
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q", raw, form)
		}
	})
}
