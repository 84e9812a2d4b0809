package jsonbody

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type rows struct {
	Before string        `json:"before"`
	List   []Row[osInfo] `json:"list" max:"8"`
	After  string        `json:"after"`
}

// deep is a number within that many objects.
func deep(levels int) string {
	return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
}

// What is wrong in a row stays there, whatever it is, and the rows around it are read.
func TestDecodeRows(t *testing.T) {
	wrong := map[string]map[string]string{
		`7`:                               {"body": "must be an object"},
		`null`:                            {"body": "must not be null"},
		`[{"name":1}]`:                    {"body": "must be an object"},
		`{"name":1,"version":[]}`:         {"name": "must be text", "version": "must be text"},
		`{"name":"a\u0000"}`:              {"name": badControl},
		`{"name":"\ud800"}`:               {"name": badSurrogate},
		"{\"name\":\"\xff\"}":             {"name": badUTF8},
		`{"x":` + deep(29) + `,"name":1}`: {"name": "must be text"},
		`{"x":` + deep(30) + `,"name":1}`: {"x" + strings.Repeat(".a", 29): tooDeep, "name": "must be text"},
		`{"x":{"y":[1,1e400]}}`:           {"x.y[1]": badNumber},
		"{\"\xff\":1}":                    {"body": badUTF8},
		`{"` + "\xff" + `":"\u0001"}`:     {"body": badUTF8, "\ufffd": badControl},
	}
	for row, want := range wrong {
		t.Run(row, func(t *testing.T) {
			var got rows
			if err := Decode([]byte(`{"before":"b","list":[{"name":"a"},`+row+`,{"name":"c"}],"after":"a"}`),
				&got); err != nil {
				t.Fatalf("the body was refused: %v", fieldsOf(t, err))
			}
			if len(got.List) != 3 || got.Before != "b" || got.After != "a" {
				t.Fatalf("%+v", got)
			}
			if diff := cmp.Diff(want, fieldsOf(t, got.List[1].Err())); diff != "" {
				t.Error(diff)
			}
			for i, name := range map[int]string{0: "a", 2: "c"} {
				if r := got.List[i]; r.Err() != nil || r.Value.Name != name {
					t.Errorf("row %d: %+v", i, r)
				}
			}
		})
	}
}

// What makes the text unreadable, and what is wrong around the rows, refuses the body; paths then begin at the body.
func TestDecodeRefusesRows(t *testing.T) {
	for name, tt := range map[string]struct {
		in    string
		field string
	}{
		"broken row":       {`{"list":[{"name":"a\u0000"},{"name":]}`, "body"},
		"raw control":      {"{\"list\":[{},{\"name\":\"a\x00\"}]}", "list[1].name"},
		"cut off":          {`{"list":[{"name":"a\u0000"},{"name":"b"`, "body"},
		"trailing data":    {`{"list":[{"name":1}]}x`, "body"},
		"too deep, broken": {`{"list":[{},{"x":` + strings.Repeat("[", 40) + `}]}`, "body"},
		"too deep around": {`{"list":[{}],"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
			"x" + strings.Repeat("[0]", 31)},
		"beside the rows":  {`{"list":[{"name":1}],"after":1}`, "after"},
		"no list":          {`{"list":{}}`, "list"},
		"too many":         {`{"list":[1,2,3,4,5,6,7,8,9]}`, "list"},
		"text beside them": {`{"list":[{"name":1}],"x":"\u0000"}`, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			fields := fieldsOf(t, Decode([]byte(tt.in), &rows{}))
			if len(fields) != 1 || fields[tt.field] == "" {
				t.Errorf("got %v, want %s", fields, tt.field)
			}
		})
	}
}

func TestRowBoundsItsProblems(t *testing.T) {
	var got rows
	if err := Decode([]byte(`{"list":[{"x":[`+strings.Repeat("1e999,", 5000)+`1]},{"name":1}]}`), &got); err != nil {
		t.Fatal(err)
	}
	if n := len(fieldsOf(t, got.List[0].Err())); n != MaxProblems {
		t.Errorf("%d problems of the row are kept", n)
	}
	if got.List[1].Err() == nil {
		t.Error("the row after it shows none of its own")
	}
}
