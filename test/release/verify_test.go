package release

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

// TestVerifyRelease: scripts/verify-release looks at every file and every image. In place of cosign and gh there are
// programs that approve of everything, and read their input as those may.
func TestVerifyRelease(t *testing.T) {
	digest := strings.Repeat("a", 64)
	var images string
	for _, service := range app.Services() {
		images += fmt.Sprintf("%s  ghcr.io/latchkey-dev/latchkey/%s:1.2.3-unverified\n", digest, service)
	}
	sums := fmt.Sprintf("%x  a.tar.gz\n%[1]x  b.tar.gz\n", sha256.Sum256([]byte("content")))
	good := map[string]string{
		"a.tar.gz": "content", "b.tar.gz": "content", "checksums.txt": sums, "checksums.txt.sigstore.json": "{}",
		"digests.txt": images,
	}
	for name, tt := range map[string]struct {
		change map[string]string
		want   string // empty: it is fine
	}{
		"as it was made":      {},
		"a changed file":      {map[string]string{"b.tar.gz": "other"}, "b.tar.gz: FAILED"},
		"a file nobody named": {map[string]string{"b.tar.gx": "content"}, "b.tar.gx is not in checksums.txt"},
		"one like a pattern":  {map[string]string{"a.t.r.gz": "content"}, "a.t.r.gz is not in checksums.txt"},
		"an image is missing": {map[string]string{"digests.txt": images[strings.Index(images, "\n")+1:]},
			"image of auth"},
		"an image twice": {map[string]string{"digests.txt": images + images}, "image of auth"},
		"another's image": {map[string]string{"digests.txt": strings.ReplaceAll(images, "latchkey-dev", "other")},
			"image of auth"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(good)
			maps.Copy(files, tt.change)
			out, err := verify(t, files)
			if tt.want == "" && (err != nil || strings.Count(out, "gh attestation verify") != 6) {
				t.Errorf("%v\n%s", err, out)
			}
			if tt.want != "" && (err == nil || !strings.Contains(out, tt.want)) {
				t.Errorf("want %q, got %v\n%s", tt.want, err, out)
			}
		})
	}
}

func verify(t *testing.T, files map[string]string) (string, error) {
	t.Helper()
	folder, programs := t.TempDir(), t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"cosign", "gh"} {
		script := "#!/bin/sh\ncat >/dev/null\necho " + name + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(programs, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "scripts/verify-release"), "v1.2.3", folder)
	cmd.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}
