//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// mutant is one deliberate defect: an edit of the source, and the tests that must then fail. The rows are in
// table_data.go and table_access.go; a new table is named in all (main.go).
type mutant struct {
	name string
	// breaks is the promise that no longer holds.
	breaks string
	// dir is the folder of the package, below the root of the repository, and in a top-level declaration in it: a
	// function, a method, a constant or a variable. The file does not matter, so a declaration may move. An empty in is
	// the whole package.
	dir, in string
	edit    edit
	// tests are the names of the tests that ought to notice, with blanks between; they are in pkg, a pattern for go
	// test.
	pkg, tests string
}

// place is where an edit applies: a piece of text in a file that has been read and parsed.
type place struct {
	path       string
	text       string
	file       *ast.File
	start, end int // of the text that was looked for
}

// find returns the one place of the mutant's text in its declaration.
func (m *mutant) find(root string) (place, error) {
	files, err := filepath.Glob(filepath.Join(root, m.dir, "*.go"))
	if err != nil {
		return place{}, err
	}
	var found []place
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return place{}, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, raw, parser.SkipObjectResolution)
		if err != nil {
			return place{}, err
		}
		found = append(found, m.places(place{path: path, text: string(raw), file: file})...)
	}
	if len(found) != 1 {
		return place{}, fmt.Errorf("%s is stale: %s %s holds %q %d times, want once",
			m.name, m.dir, m.in, m.edit.find, len(found))
	}
	return found[0], nil
}

// places are all places of the mutant's text in one file.
func (m *mutant) places(in place) (found []place) {
	for _, d := range in.file.Decls {
		if m.in != "" && !declares(d, m.in) {
			continue
		}
		end := offset(in.file, d.End())
		for at := offset(in.file, d.Pos()); ; at = in.end {
			n := strings.Index(in.text[at:end], m.edit.find)
			if n < 0 {
				break
			}
			in.start, in.end = at+n, at+n+len(m.edit.find)
			found = append(found, in)
		}
	}
	return found
}

// declares reports whether a declaration is that of name.
func declares(d ast.Decl, name string) bool {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return d.Name.Name == name
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if values, ok := spec.(*ast.ValueSpec); ok && values.Names[0].Name == name {
				return true
			}
		}
	}
	return false
}

// overlay writes the mutated file into dir, and beside it the JSON by which the go command builds with that file
// instead of the one in the repository, which is never touched (go help build, -overlay).
func (m *mutant) overlay(root, dir string) (string, error) {
	p, err := m.find(root)
	if err != nil {
		return "", err
	}
	text, err := m.edit.apply(p)
	if err != nil {
		return "", fmt.Errorf("%s is stale: %w", m.name, err)
	}
	broken, overlay := filepath.Join(dir, m.name+".go"), filepath.Join(dir, m.name+".json")
	if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {p.path: broken}})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, replace, 0o600)
}
