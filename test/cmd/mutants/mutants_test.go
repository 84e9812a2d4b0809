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
			if m.breaks == "" || m.old == m.new {
				t.Error("it breaks nothing")
			}
			text, err := m.source(repository)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.ParseFile(token.NewFileSet(), m.file, text, 0); err != nil {
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

func TestAStaleMutantIsTold(t *testing.T) {
	root := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, "a.go"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := mutant{name: "m", file: "a.go", old: "guard()", new: "true"}
	for text, stale := range map[string]bool{"if guard() {": false, "if other() {": true, "guard(); guard()": true} {
		write(text)
		got, err := m.source(root)
		if (err != nil) != stale || !stale && string(got) != "if true {" {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
	if _, err := (&mutant{file: "gone.go"}).source(root); err == nil {
		t.Error("a file that has gone is not told")
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
