//go:build unix

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const repository = "../../.."

// TestEveryMutantApplies finds mutants that went stale without running them: text that moved, tests that were renamed.
func TestEveryMutantApplies(t *testing.T) {
	names := map[string]bool{}
	for _, m := range all() {
		t.Run(m.name, func(t *testing.T) {
			if names[m.name] {
				t.Error("two mutants have this name")
			}
			names[m.name] = true
			if m.breaks == "" {
				t.Error("it does not say what it breaks")
			}
			p, err := m.find(repository)
			if err != nil {
				t.Fatal(err)
			}
			text, err := m.edit.apply(p)
			if err != nil || text == p.text {
				t.Fatalf("it changes nothing: %v", err)
			}
			if _, err := parser.ParseFile(token.NewFileSet(), p.path, text, 0); err != nil {
				t.Errorf("the mutant is no Go: %v", err)
			}
			known := testsOf(t, filepath.Join(repository, m.pkg))
			for _, name := range strings.Fields(m.tests) {
				if !slices.Contains(known, name) {
					t.Errorf("%s has no %s", m.pkg, name)
				}
			}
		})
	}
}

// testsOf names the functions in the test files of a folder.
func testsOf(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", folder, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func TestEdits(t *testing.T) {
	const source = `package p

const query = "SELECT 1"

func (t *T) f(n int) int {
	first()
	if err := second(n); err != nil {
		return 1
	}
	switch {
	case n > 1:
		return 2
	}
	return 3
}

func g() { first() }
`
	for name, tt := range map[string]struct {
		in       string
		edit     edit
		old, new string // what the edit changes in the source; none where the mutant is stale
	}{
		"a constant":          {"query", replace("1", "2"), "SELECT 1", "SELECT 2"},
		"any declaration":     {"", replace("SELECT", "DELETE"), "SELECT", "DELETE"},
		"twice":               {"", replace("first()", ""), "", ""},
		"once in a method":    {"f", drop("first"), "first()\n\tif", "\n\tif"},
		"gone":                {"f", replace("third", ""), "", ""},
		"no such declaration": {"h", replace("first", ""), "", ""},
		"the condition":       {"f", never("err != nil"), "; err != nil", "; false && (err != nil)"},
		"a case":              {"f", never("n >"), "case n > 1", "case false && (n > 1)"},
		"no condition":        {"f", never("first"), "", ""},
		"a whole statement":   {"f", drop("second"), "if err := second(n); err != nil {\n\t\treturn 1\n\t}", ""},
		"no statement":        {"query", drop("SELECT"), "", ""},
		"the first statement": {"f", earlier("first"), "", ""},
		"earlier": {"f", earlier("second"), "first()\n\tif err := second(n); err != nil {\n\t\treturn 1\n\t}",
			"if err := second(n); err != nil {\n\t\treturn 1\n\t}\n\tfirst()"},
	} {
		t.Run(name, func(t *testing.T) {
			root, want := t.TempDir(), ""
			if err := os.WriteFile(filepath.Join(root, "a.go"), []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.old != "" {
				want = strings.Replace(source, tt.old, tt.new, 1)
			}
			got := ""
			p, err := (&mutant{dir: ".", in: tt.in, edit: tt.edit}).find(root)
			if err == nil {
				got, err = tt.edit.apply(p)
			}
			if got != want || (err != nil) != (want == "") {
				t.Errorf("%v, became:\n%s", err, got)
			}
		})
	}
}

func TestOutcome(t *testing.T) {
	const (
		begun  = `{"Action":"run","Test":"TestA"}` + "\n"
		passed = `{"Action":"pass","Test":"TestA"}` + "\n"
		failed = `{"Action":"fail","Test":"TestA/sub"}` + "\n" + `{"Action":"fail","Test":"TestA"}` + "\n"
	)
	for name, tc := range map[string]struct {
		events  string
		ok      bool
		unbuilt bool
		caught  string
	}{
		"green":             {events: begun + passed, ok: true},
		"red":               {events: begun + failed, caught: "TestA"},
		"hung":              {events: begun, caught: "TestA (hung or crashed)"},
		"broken in general": {events: begun + passed},
		"does not compile":  {events: `{"ImportPath":"p","Action":"build-fail"}` + "\n", unbuilt: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := outcome{ok: tc.ok}
			if err := o.read(strings.NewReader(tc.events)); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(o.caughtBy(), " "); got != tc.caught || o.unbuilt != tc.unbuilt {
				t.Errorf("caught by %q, unbuilt %v; want %q, %v", got, o.unbuilt, tc.caught, tc.unbuilt)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	from := []mutant{{name: "seat-a"}, {name: "seat-b"}, {name: "relay-c"}}
	for names, want := range map[string]int{"": 3, "seat-": 2, "seat-b relay-c": 2, "none": -1, "seat- none": -1} {
		chosen, err := choose(from, strings.Fields(names))
		if want < 0 && err == nil || want >= 0 && len(chosen) != want {
			t.Errorf("%q chose %d, %v; want %d", names, len(chosen), err, want)
		}
	}
}
