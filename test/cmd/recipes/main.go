//go:build unix

// Command recipes is what scripts/recipes runs: it follows the recipes of CONTRIBUTING.md with an example of each, and
// proves that the files they name are enough.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
)

const usage = `usage: scripts/recipes [name ...]

Follows the recipes of CONTRIBUTING.md: adds the example of each to a copy of the files it touches, generates code where
the contracts change, and runs the tests that the example brings. The files of the repository are not touched.
A recipe fails when CONTRIBUTING.md does not name a file that the example needs, and when the example needs more files,
other than tests and generated code, than the recipe may cost.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	root := flag.String("root", ".", "folder of the repository")
	flag.Parse()
	if err := follow(ctx, *root, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "recipes:", err)
		os.Exit(1)
	}
}

// follow follows the named recipes, or all.
func follow(ctx context.Context, root string, names []string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(recipes, func(r recipe) bool { return r.name == name }) {
			return fmt.Errorf("there is no recipe %q", name)
		}
	}
	for _, r := range recipes {
		if len(names) > 0 && !slices.Contains(names, r.name) {
			continue
		}
		if err := r.follow(ctx, root); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Printf("%s: %d files of %d\n", r.name, len(r.files()), r.most)
	}
	return nil
}
