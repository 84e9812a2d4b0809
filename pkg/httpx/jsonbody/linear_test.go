package jsonbody

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// worstTexts are texts of about n bytes, each made to cost a decoder more per byte the longer it is.
var worstTexts = map[string]func(n int) string{
	"control characters under a long name": func(n int) string { return object(long(n/2), escaped(`\u0001`, n/2)) },
	"invalid UTF-8 under a long name":      func(n int) string { return object(long(n/2), escaped("\xff", n/2)) },
	"lone surrogates under a long name":    func(n int) string { return object(long(n/2), escaped(`\ud800`, n/2)) },
	"lone surrogates":                      func(n int) string { return object("text", escaped(`\ud83d`, n)) },
	"control characters, not escaped":      func(n int) string { return object(long(n/2), escaped("\x01", n/2)) },
	"bad text below many long names": func(n int) string {
		return nested(30, long(n/60), `[`+repeated(`"\u0000"`, n/2)+`]`)
	},
	"bad text below many names of the longest kind": func(n int) string {
		return nested(30, long(maxName), `[`+repeated(`"\u0000"`, n)+`]`)
	},
	"bad names":                    func(n int) string { return `{` + repeated(`"\u0001":1`, n) + `}` },
	"long names":                   func(n int) string { return `{` + repeated(`"`+long(maxName)+`":1`, n) + `}` },
	"the same name":                func(n int) string { return `{` + repeated(`"text":1`, n) + `}` },
	"many names":                   func(n int) string { return `{` + numbered(`"a%d":1`, n/10) + `}` },
	"escapes":                      func(n int) string { return object("text", escaped(`\u00e9\/`, n)) },
	"numbers out of range":         func(n int) string { return object("objects", `[`+repeated(`1e999`, n)+`]`) },
	"long numbers":                 func(n int) string { return object("count", strings.Repeat("9", n)) },
	"whole numbers of many digits": func(n int) string { return `{` + repeated(`"count":1e-99999`, n) + `}` },
	"whole numbers with a long exponent": func(n int) string {
		return `{` + repeated(`"count":0e-999999,"small":7e999999,"limit":1e-999999`, n) + `}`
	},
	"depth":             func(n int) string { return strings.Repeat(`{"a":`, n/6) + "1" + strings.Repeat("}", n/6) },
	"lists without end": func(n int) string { return strings.Repeat(`[`, n) },
	"bad rows": func(n int) string {
		return object("row_list", `[`+repeated(nested(20, long(maxName), `["\u0000",1e999]`), n)+`]`)
	},
	"null rows": func(n int) string { return object("row_list", `[`+repeated(`null`, n)+`]`) },
	"free maps": func(n int) string { return object("free", `{`+numbered(`"a%d":[null]`, n/15)+`}`) },
}

func long(n int) string                { return strings.Repeat("A", n) }
func escaped(s string, n int) string   { return `"` + strings.Repeat(s, n/len(s)) + `"` }
func repeated(s string, n int) string  { return strings.Repeat(s+",", n/len(s)) + s }
func object(name, value string) string { return `{"` + name + `":` + value + `}` }

func nested(depth int, name, value string) string {
	return strings.Repeat(`{"`+name+`":`, depth) + value + strings.Repeat("}", depth)
}

func numbered(format string, n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, format+",", i)
	}
	return out.String() + fmt.Sprintf(format, n)
}

// TestWorkIsLinear counts the bytes that the work allocates, as it happens before the caller is known: a text twice
// as long may take about twice as many, and none takes many times its length.
func TestWorkIsLinear(t *testing.T) {
	const size = 100_000
	for name, text := range worstTexts {
		t.Run(name, func(t *testing.T) {
			once, twice := workOf(text(size)), workOf(text(2*size))
			if once > 40*size {
				t.Errorf("%d bytes of text take %d bytes of work", size, once)
			}
			if twice > 3*once && twice > size {
				t.Errorf("the work grows from %d to %d bytes when the text doubles", once, twice)
			}
		})
	}
}

func workOf(text string) int {
	var dst struct {
		sample
		RowList []Row[sample] `json:"row_list" max:"1000"`
	}
	raw := []byte(text)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = Decode(raw, &dst) // whether it is taken is not what is measured
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// The cost that the test above cannot see: a problem is told by its path, so problems past the last one shown get none.
func TestProblemsPastTheLastAreNotLookedUp(t *testing.T) {
	d := decoder{text: openText([]byte(object("a", "1"))), noted: MaxProblems}
	for range 3 {
		if _, err := d.ReadToken(); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(10, func() { d.fail(badControl) }); n != 0 || d.problems != nil {
		t.Errorf("%v allocations for a problem that nobody sees", n)
	}
}

func TestMemberNamesAreCapped(t *testing.T) {
	if err := Decode([]byte(nested(30, long(maxName), "1")), &sample{}); err != nil {
		t.Errorf("names of %d bytes: %v", maxName, err)
	}
	for _, tt := range []struct{ in, at string }{
		{object(long(maxName+1), "1"), "body"},
		{object("os_info", object(strings.Repeat(`\u0041`, maxName+1), "1")), "os_info"},
		{object("text", `1,"list":[1,`+object(long(maxName+1), "1")+`]`), "list[1]"},
	} {
		if got := fieldsOf(t, Decode([]byte(tt.in), &sample{})); len(got) != 1 || got[tt.at] != longName {
			t.Errorf("got %v, want %s", got, tt.at)
		}
	}
}
