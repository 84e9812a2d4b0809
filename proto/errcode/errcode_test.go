package errcode_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var code = regexp.MustCompile(`"([A-Z]+(?:_[A-Z]+)*)"`)

// TestEveryCodeIsExplained: docs/errors.md lists the codes of this package, each once, and says what to do.
func TestEveryCodeIsExplained(t *testing.T) {
	source, err := os.ReadFile("errcode.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, match := range code.FindAllSubmatch(source, -1) {
		named[string(match[1])] = true
	}
	if len(named) < 20 {
		t.Fatalf("only %d codes were found", len(named))
	}
	explained := map[string]bool{}
	rowOfCode := regexp.MustCompile("^\\| `[A-Z]")
	for line := range strings.Lines(string(page)) {
		if !rowOfCode.MatchString(line) {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 4 || slices.ContainsFunc(cells, func(c string) bool { return strings.Trim(c, " -") == "" }) {
			t.Errorf("a row does not have code, status, meaning and what to do: %s", line)
		}
		for _, c := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(cells[0], -1) {
			if explained[c[1]] {
				t.Errorf("%s is explained twice", c[1])
			}
			explained[c[1]] = true
		}
	}
	for _, c := range slices.Sorted(maps.Keys(named)) {
		if !explained[c] {
			t.Errorf("docs/errors.md lacks %s", c)
		}
		delete(explained, c)
	}
	for c := range explained {
		t.Errorf("docs/errors.md explains %s, which no code names", c)
	}
}
