//go:build unix

package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gofrs/flock"
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
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	// A binary that is being written cannot be started: tests of several packages may build at the same time.
	lock := flock.New(filepath.Join(bin, ".lock"))
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if o.Embedded {
		return bin, goBuild(ctx, root, filepath.Join(bin, "latchkey"), "./services/standalone")
	}
	argv := make([]string, len(serviceNames))
	for i, name := range serviceNames {
		argv[i] = fmt.Sprintf("./services/%[1]s/cmd/%[1]s", name)
	}
	return bin, goBuild(ctx, root, bin+string(filepath.Separator), argv...)
}

func goBuild(ctx context.Context, root, output string, packages ...string) error {
	// Without the commit in it, a binary need not be linked again after each commit.
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-buildvcs=false", "-o", output}, packages...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the images are built
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
