//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// recipe is an example of what somebody may want to add.
type recipe struct {
	name string
	// section is the heading in CONTRIBUTING.md that tells how.
	section string
	steps   []step
	// contracts says that code has to be generated from proto/latchkey.
	contracts bool
	// most is how many files it may take, tests and generated code not counted.
	most int
	// packages are those whose tests named by tests, a pattern, show that the example works.
	packages []string
	tests    string
}

// step adds a text to a file.
type step struct {
	file string // below the root of the repository
	// after is in the line behind which the text goes, in no other; where it is empty, the file is new. A text without
	// an end of line goes into the line, right behind after.
	after string
	add   string
}

// files are those that the recipe touches, tests and generated code not counted, as the repository names them.
func (r *recipe) files() (files []string) {
	for _, s := range r.steps {
		if !strings.HasSuffix(s.file, "_test.go") && !slices.Contains(files, s.file) {
			files = append(files, s.file)
		}
	}
	return files
}

// follow carries out the steps on copies, and runs the tests with these.
func (r *recipe) follow(ctx context.Context, root string) error {
	if err := r.documented(root); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "latchkey-recipe-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	t := tree{root: root, dir: dir, replaced: map[string]string{}}
	for _, s := range r.steps {
		if err := t.add(s); err != nil {
			return err
		}
	}
	if r.contracts {
		if err := t.generate(ctx); err != nil {
			return err
		}
	}
	out, err := t.goTool(ctx, "test", append([]string{"-v", "-count=1", "-vet=off", "-run=^(" + r.tests + ")$"},
		r.packages...)...)
	if err == nil && !strings.Contains(out, "--- PASS") {
		err = fmt.Errorf("no test ran:\n%s", out)
	}
	return err
}

// folder is a folder as CONTRIBUTING.md names it: a new one by a placeholder.
func folder(root, name string) string {
	if _, err := os.Stat(filepath.Join(root, name)); err != nil {
		return path.Dir(name) + "/<name>/"
	}
	return name + "/"
}

// documented reports whether CONTRIBUTING.md names every file in the recipe's section, and whether they are not too
// many.
func (r *recipe) documented(root string) error {
	raw, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		return err
	}
	_, section, ok := strings.Cut(string(raw), "\n## "+r.section+"\n")
	if !ok {
		return fmt.Errorf("CONTRIBUTING.md has no section %q", r.section)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var errs []error
	for _, s := range r.steps {
		name := s.file
		if s.after == "" {
			name = folder(root, path.Dir(s.file)) // of a new file
		}
		if !strings.HasSuffix(s.file, "_test.go") && !strings.Contains(section, "`"+name+"`") {
			errs = append(errs, fmt.Errorf("the section %q of CONTRIBUTING.md does not name %s", r.section, name))
		}
	}
	if n := len(r.files()); n > r.most {
		errs = append(errs, fmt.Errorf("it takes %d files, and may take %d", n, r.most))
	}
	return errors.Join(errs...)
}

// insert puts the text of a step behind the line that holds s.after. How the words of a line are spaced does not
// matter.
func insert(text string, s step) (string, error) {
	if !strings.HasSuffix(s.add, "\n") && strings.Count(text, s.after) == 1 {
		return strings.Replace(text, s.after, s.after+s.add, 1), nil
	}
	lines, at := strings.SplitAfter(text, "\n"), -1
	for i, line := range lines {
		if !strings.Contains(spaced(line), spaced(s.after)) {
			continue
		}
		if at >= 0 {
			return "", fmt.Errorf("%s holds %q more than once; the recipe is stale", s.file, s.after)
		}
		at = i
	}
	if at < 0 {
		return "", fmt.Errorf("%s does not hold %q; the recipe is stale", s.file, s.after)
	}
	return strings.Join(slices.Insert(lines, at+1, s.add), ""), nil
}

func spaced(text string) string { return strings.Join(strings.Fields(text), " ") }
