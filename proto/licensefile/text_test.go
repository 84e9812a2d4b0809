package licensefile_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/proto/licensefile"
)

// TestDocumentedKeys: the page shows the keys under which files are encrypted.
func TestDocumentedKeys(t *testing.T) {
	page, err := os.ReadFile("../../docs/license-file.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| typed | normalized form |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := regexp.MustCompile("(?m)^\\| `(.+)` \\| `(.+)` \\|$").FindAllStringSubmatch(table, -1)
	if len(rows) < 8 || len(rows) != strings.Count(table, "\n")+1 {
		t.Fatalf("%d rows in %q", len(rows), table)
	}
	for _, row := range rows {
		if got := licensefile.NormalizeKey(row[1]); got != row[2] {
			t.Errorf("%q becomes %q, the page says %q", row[1], got, row[2])
		}
	}
}
