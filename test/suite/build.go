//go:build unix

package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

// findRoot is the first folder upwards from the working directory that has a go.work.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.work here or above: run this inside the repository")
		}
		dir = parent
	}
}

// Build makes the binaries in <root>/bin and returns that folder. Without changes it takes a second.
func Build(ctx context.Context, o Options) (bin string, err error) {
	root := o.Root
	if root == "" {
		if root, err = findRoot(); err != nil {
			return "", err
		}
	}
	bin = filepath.Join(root, "bin")
	if o.Clocks {
		bin = filepath.Join(bin, "clocks")
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	// A binary that is being written cannot be started: tests of several packages may build at the same time.
	lock := flock.New(filepath.Join(bin, ".lock"))
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	var flags []string
	if o.Clocks {
		flag, err := overlay(ctx, bin)
		if err != nil {
			return "", err
		}
		flags = append(flags, flag)
	}
	if o.Embedded {
		return bin, goBuild(ctx, root, filepath.Join(bin, "latchkey"), append(flags, "./services/standalone")...)
	}
	return bin, buildServices(ctx, root, bin, flags...)
}

// BuildCommit makes the binaries of the four services as they were in a commit, and returns their folder, which is
// below dir. The working tree and what git knows of it stay as they are.
func BuildCommit(ctx context.Context, commit, dir string) (bin string, err error) {
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	source, bin := filepath.Join(dir, "source"), filepath.Join(dir, "bin")
	if err := errors.Join(os.Mkdir(source, 0o755), os.Mkdir(bin, 0o755)); err != nil {
		return "", err
	}
	archive := filepath.Join(dir, "source.tar")
	for _, argv := range [][]string{
		{"git", "-C", root, "archive", "--output", archive, commit},
		{"tar", "--extract", "--file", archive, "--directory", source},
	} {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
		}
	}
	return bin, buildServices(ctx, source, bin)
}

func buildServices(ctx context.Context, root, bin string, argv ...string) error {
	for _, name := range app.Services() {
		argv = append(argv, fmt.Sprintf("./services/%[1]s/cmd/%[1]s", name))
	}
	return goBuild(ctx, root, bin+string(filepath.Separator), argv...)
}

// goBuild builds what argv says, flags and then packages.
func goBuild(ctx context.Context, root, output string, argv ...string) error {
	// Without the commit in it, a binary need not be linked again after each commit; without the folder in them,
	// packages that are alike in two commits are compiled once; without tables for debuggers it is linked sooner.
	build := []string{"build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", output}
	cmd := exec.CommandContext(ctx, "go", append(build, argv...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the images are built
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
