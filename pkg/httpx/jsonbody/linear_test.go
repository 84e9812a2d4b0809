package jsonbody

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
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

// counted are the packages whose statements count as work: all that look at the bytes of a text. What is written in
// assembly, as bytes.IndexByte, counts as one.
var counted = []string{
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody", "github.com/latchkey-dev/latchkey/pkg/apierr",
	"github.com/latchkey-dev/latchkey/pkg/nearest", "github.com/latchkey-dev/latchkey/proto/licensefile",
	"github.com/go-json-experiment/json/jsontext", "github.com/go-json-experiment/json/internal/jsonwire",
	"golang.org/x/text/unicode/norm", "bytes", "strings", "unicode/utf8", "strconv", "math/big",
}

// worstText and worstSize name the text that TestMain decodes.
const worstText, worstSize = "LATCHKEY_TEST_WORST_TEXT", "LATCHKEY_TEST_WORST_SIZE"

func TestMain(m *testing.M) {
	if text := worstTexts[os.Getenv(worstText)]; text != nil {
		n, _ := strconv.Atoi(os.Getenv(worstSize))
		decodeWorst([]byte(text(n)))
	}
	os.Exit(m.Run())
}

// decodeWorst does what happens before the caller is known; whether the text is taken is not what is measured.
func decodeWorst(raw []byte) {
	var dst struct {
		sample
		RowList []Row[sample] `json:"row_list" max:"1000"`
	}
	_ = Decode(raw, &dst)
}

const size = 100_000

// TestWorkIsLinear counts the statements that are executed: a text twice as long may take about twice as many, and none
// takes many for each of its bytes.
func TestWorkIsLinear(t *testing.T) {
	program := filepath.Join(t.TempDir(), "counts")
	build := exec.Command("go", "test", "-c", "-o", program, "-covermode=count",
		"-coverpkg="+strings.Join(counted, ","), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name := range worstTexts {
		t.Run(name, func(t *testing.T) {
			once, twice := statements(t, program, name, size), statements(t, program, name, 2*size)
			if once > 150*size {
				t.Errorf("%d bytes of text take %d statements", size, once)
			}
			if 2*twice > 5*once && twice > size {
				t.Errorf("the work grows from %d to %d statements when the text doubles", once, twice)
			}
		})
	}
}

// statements is how many a program executes that decodes a text, by its coverage profile: after a first line, each has
// a block, how many statements that has, and how often it was entered.
func statements(t *testing.T, program, name string, size int) (n int) {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	run := exec.Command(program, "-test.run=^$", "-test.coverprofile="+profile)
	run.Env = append(os.Environ(), worstText+"="+name, worstSize+"="+strconv.Itoa(size))
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	raw, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var block string
		var of, entered int
		if _, err := fmt.Sscan(line, &block, &of, &entered); err == nil {
			n += of * entered
		}
	}
	if n == 0 {
		t.Fatal("nothing was counted")
	}
	return n
}

// TestMemoryIsLinear is the same for the bytes that are allocated.
func TestMemoryIsLinear(t *testing.T) {
	for name, text := range worstTexts {
		t.Run(name, func(t *testing.T) {
			once, twice := allocated(text(size)), allocated(text(2*size))
			if once > 40*size {
				t.Errorf("%d bytes of text take %d bytes of memory", size, once)
			}
			if twice > 3*once && twice > size {
				t.Errorf("the memory grows from %d to %d bytes when the text doubles", once, twice)
			}
		})
	}
}

func allocated(text string) int {
	raw := []byte(text)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	decodeWorst(raw)
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// A problem is told by its path, which costs more than its bytes: problems past the last one shown get none.
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
