//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const repository = "../../.."

// TestRecipesApply finds recipes that went stale without building anything: files and places that moved, and files that
// CONTRIBUTING.md does not name.
func TestRecipesApply(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			if err := r.documented(repository); err != nil {
				t.Error(err)
			}
			tree := tree{root: repository, dir: t.TempDir(), replaced: map[string]string{}}
			for _, s := range r.steps {
				if err := tree.add(s); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestInsert(t *testing.T) {
	const text = "a  int\nb\tint\nb2 int\n"
	for after, want := range map[string]string{
		"a int":  "a  int\nnew\nb\tint\nb2 int\n",
		"b2":     "a  int\nb\tint\nb2 int\nnew\n",
		"b int":  "a  int\nb\tint\nnew\nb2 int\n",
		"int":    "",
		"absent": "",
	} {
		got, err := insert(text, step{after: after, add: "new\n"})
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", after, got, err)
		}
	}
	within, err := insert("all{a, b}\n", step{after: "b", add: ", c"})
	if err != nil || within != "all{a, b, c}\n" {
		t.Errorf("within a line: %q, %v", within, err)
	}
}

func TestDocumented(t *testing.T) {
	root := t.TempDir()
	const page = "# Contributing\n\n## Add a thing\n\nTouch `a.go` and a file in `dir/`.\n\n## Add a " +
		"package\n\n`dir/<name>/`\n\n## Add another\n\n`b.go`\n"
	if err := os.WriteFile(filepath.Join(root, "CONTRIBUTING.md"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"dir", "e"} {
		if err := os.Mkdir(filepath.Join(root, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	known, added, unknown := step{file: "a.go", after: "x"}, step{file: "dir/c.go"}, step{file: "b.go", after: "x"}
	for name, tt := range map[string]struct {
		recipe recipe
		want   string
	}{
		"fine": {recipe{
			section: "Add a thing",
			steps:   []step{known, added, known, {file: "d_test.go"}},
			most:    2,
		}, ""},
		"new folder":   {recipe{section: "Add a package", steps: []step{{file: "dir/new/c.go"}}, most: 1}, ""},
		"no section":   {recipe{section: "Add nothing", most: 1}, "no section"},
		"not named":    {recipe{section: "Add a thing", steps: []step{unknown}, most: 1}, "does not name b.go"},
		"costs more":   {recipe{section: "Add a thing", steps: []step{known, added}, most: 1}, "takes 2 files"},
		"other folder": {recipe{section: "Add a thing", steps: []step{{file: "e/c.go"}}, most: 1}, "does not name e/"},
	} {
		err := tt.recipe.documented(root)
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
