//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mutant is one deliberate defect: a piece of source that is replaced, and the tests that must then fail.
type mutant struct {
	name string
	// breaks is the promise that no longer holds.
	breaks string
	// file is below the root of the repository, and holds old exactly once.
	file     string
	old, new string
	// tests are the names of the tests that ought to notice, with blanks between; they are in pkg, a pattern for go test.
	pkg, tests string
}

// source returns the mutated text of the mutant's file.
func (m *mutant) source(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, fmt.Errorf("%s is stale: %w", m.name, err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return nil, fmt.Errorf("%s is stale: %s holds the text it replaces %d times, want once:\n%s", m.name, m.file, n, m.old)
	}
	return []byte(strings.Replace(string(text), m.old, m.new, 1)), nil
}

// overlay writes the mutated file into dir, and beside it the JSON by which the go command builds with that file instead of
// the one in the repository, which is never touched (go help build, -overlay).
func (m *mutant) overlay(root, dir string) (string, error) {
	text, err := m.source(root)
	if err != nil {
		return "", err
	}
	broken, overlay := filepath.Join(dir, m.name+".go"), filepath.Join(dir, m.name+".json")
	if err := os.WriteFile(broken, text, 0o600); err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): broken}})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, replace, 0o600)
}
