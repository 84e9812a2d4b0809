package release

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuildsAreReproducible builds one program as .goreleaser.yaml has it, in two folders: the bytes are the same, and
// it says the version, the commit and the date that it was built with.
func TestBuildsAreReproducible(t *testing.T) {
	build := readConfig(t).Builds[0]
	ldflags := strings.NewReplacer("{{ .Version }}", "1.2.3", "{{ .FullCommit }}", "abc",
		"{{ .CommitDate }}", "2026-01-31T00:00:00Z").Replace(strings.Join(build.Ldflags, " "))
	if strings.Contains(ldflags, "{{") {
		t.Fatalf("the test does not know all of %s", ldflags)
	}
	var programs [][]byte
	var program string
	for _, folder := range []string{root, sources(t)} {
		program = filepath.Join(t.TempDir(), "program")
		cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, build.Flags...),
			"-ldflags", ldflags, "-o", program, build.Main)...)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), build.Env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		raw, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, raw)
	}
	if !bytes.Equal(programs[0], programs[1]) {
		t.Error("two builds of the same sources are different")
	}
	out, err := exec.CommandContext(t.Context(), program, "--version").Output()
	const want = "latchkey v1.2.3 (commit abc of 2026-01-31T00:00:00Z, go"
	if err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("it says %q, %v; want %s...", out, err, want)
	}
}

// sources is a copy of what git has of the repository, with changes that are not committed.
func sources(t *testing.T) string {
	t.Helper()
	list, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z", "*.mod", "*.sum", "go.work",
		"proto", "pkg", "services").Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
