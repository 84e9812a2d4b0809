package archtest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
)

func TestIDsHaveOneSpelling(t *testing.T) {
	for _, dir := range []string{"../../../pkg", "../../../services", "../../../proto"} {
		archtest.OneSpelling(t, dir)
	}
}

func TestOneSpelling(t *testing.T) {
	const head = "package x\n\nimport \"github.com/google/uuid\"\n\n"
	for body, want := range map[string]int{
		"var ok = uuid.Validate(`x`) == nil":                       1,
		"var a, err = uuid.Parse(`x`)\nvar b = uuid.MustParse(``)": 2,
		"var id = uuid.NewString()":                                0,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte(head+body), 0o600); err != nil {
			t.Fatal(err)
		}
		s := &spy{TB: t}
		archtest.OneSpelling(s, dir)
		if s.failures != want {
			t.Errorf("%s: %d failures, want %d", body, s.failures, want)
		}
	}
}
