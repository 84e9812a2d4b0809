//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tree is the repository as the go command sees it: some files are replaced by others (go help build, -overlay).
type tree struct {
	root, dir string
	replaced  map[string]string // file of the repository to the one in its place, both absolute
}

// read returns the text of a file, replaced or not.
func (t *tree) read(file string) (string, error) {
	path := filepath.Join(t.root, file)
	if other, ok := t.replaced[path]; ok {
		path = other
	}
	raw, err := os.ReadFile(path)
	return string(raw), err
}

// write replaces a file.
func (t *tree) write(file, text string) error {
	path := filepath.Join(t.root, file)
	other := filepath.Join(t.dir, strings.ReplaceAll(file, "/", "__"))
	t.replaced[path] = other
	return os.WriteFile(other, []byte(text), 0o600)
}

// add carries out a step.
func (t *tree) add(s step) error {
	if s.after == "" {
		if _, err := t.read(s.file); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already (%v); the recipe is stale", s.file, err)
		}
		return t.write(s.file, s.add)
	}
	text, err := t.read(s.file)
	if err != nil {
		return err
	}
	if text, err = insert(text, s); err != nil {
		return err
	}
	return t.write(s.file, text)
}

// generate does what scripts/gen does for the contracts.
func (t *tree) generate(ctx context.Context) error {
	const types = "proto/gen/latchkey/events/v1/types.gen.go"
	made := filepath.Join(t.dir, "proto")
	if err := os.CopyFS(made, os.DirFS(filepath.Join(t.root, "proto"))); err != nil {
		return err
	}
	for path, other := range t.replaced {
		within, err := filepath.Rel(filepath.Join(t.root, "proto"), path)
		if err != nil || strings.HasPrefix(within, "..") {
			continue
		}
		raw, err := os.ReadFile(other)
		if err == nil {
			err = os.WriteFile(filepath.Join(made, within), raw, 0o600)
		}
		if err != nil {
			return err
		}
	}
	const buf = `export PATH=$("$0" --path protoc-gen-go):$("$0" --path protoc-gen-connect-go):$PATH
		"$0" buf generate`
	if _, err := run(ctx, made, "bash", "-c", buf, filepath.Join(t.root, "scripts/tool")); err != nil {
		return err
	}
	err := filepath.WalkDir(filepath.Join(made, "gen"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		within, err := filepath.Rel(made, path)
		t.replaced[filepath.Join(t.root, "proto", within)] = path
		return err
	})
	if err != nil {
		return err
	}
	text, err := t.goTool(ctx, "run", "./proto/cmd/eventtypes")
	if err != nil {
		return err
	}
	return t.write(types, text)
}

// goTool runs the go command on the tree and returns what it prints.
func (t *tree) goTool(ctx context.Context, command string, args ...string) (string, error) {
	overlay := filepath.Join(t.dir, "overlay.json")
	raw, err := json.Marshal(map[string]map[string]string{"Replace": t.replaced})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, raw, 0o600); err != nil {
		return "", err
	}
	return run(ctx, t.root, "go", append([]string{command, "-overlay=" + overlay}, args...)...)
}

// run returns what a command prints; the error of one that fails has it all.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, all bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &all
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), all.String())
	}
	return out.String(), nil
}
