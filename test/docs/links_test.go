package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const repository = "../.."

var (
	link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	// named is a file or folder of the repository in code font. Decisions and the change log tell of the code as it
	// was.
	named = regexp.MustCompile("`((?:deploy|docs|pkg|proto|scripts|services|test)/[A-Za-z0-9_./-]*)`")
)

// TestPagesNameWhatIsThere follows the links from page to page, and looks up the files that pages name.
func TestPagesNameWhatIsThere(t *testing.T) {
	pages := 0
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		pages++
		raw, err := os.ReadFile(path)
		for _, m := range link.FindAllStringSubmatch(string(raw), -1) {
			exists(t, path, m[1], filepath.Join(filepath.Dir(path), m[1]))
		}
		if !strings.Contains(path, "/decisions/") && d.Name() != "CHANGELOG.md" {
			for _, m := range named.FindAllStringSubmatch(string(raw), -1) {
				exists(t, path, m[1], filepath.Join(repository, m[1]))
			}
		}
		return err
	})
	if err != nil || pages < 10 {
		t.Errorf("%d pages, %v", pages, err)
	}
}

func exists(t *testing.T, page, name, file string) {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		t.Errorf("%s names %s, which is not there", strings.TrimPrefix(page, repository+"/"), name)
	}
}
