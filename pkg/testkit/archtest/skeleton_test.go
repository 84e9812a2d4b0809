package archtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit/archtest"
)

// TestServicesHaveTheSameSkeleton: a service is a folder with a folder internal.
func TestServicesHaveTheSameSkeleton(t *testing.T) {
	found, err := filepath.Glob("../../../services/*/internal")
	if err != nil || len(found) < 4 {
		t.Fatalf("found %d services, %v", len(found), err)
	}
	for _, internal := range found {
		archtest.Skeleton(t, filepath.Dir(internal))
	}
}

// recorder keeps what a test was told.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Errorf(f string, a ...any) { r.said = append(r.said, fmt.Sprintf(f, a...)) }

func TestSkeletonTellsWhatIsWrong(t *testing.T) {
	const services = "github.com/latchkey-dev/latchkey/services/"
	fine := map[string]string{
		"shop.go":                              "package shop\nfunc New() {}\n",
		"config.go":                            "package shop\nfunc DefaultConfig() {}\n",
		"commands.go":                          "package shop\nfunc Program() {}\n",
		"jobs.go":                              "package shop\nfunc Run() {}\n",
		"cmd/shop/main.go":                     "package main\n",
		"internal/api/routes.go":               "package api\nfunc Routes() {}\n",
		"internal/peers/peers.go":              "package peers\n",
		"internal/store/store.go":              "package store\nimport _ \"gorm.io/gorm\"\nfunc New() {}\n",
		"internal/store/store_test.go":         "package store\n",
		"internal/store/migrations/postgres/1": "",
		"internal/store/migrations/sqlite/1":   "",
		"internal/selling/errors.go":           "package selling\nvar ErrSold = apierr.New(1)\n",
		"internal/selling/ports.go":            "package selling\ntype Store interface{}\n",
		"internal/selling/selling.go":          "package selling\nvar now = time.Now()\n",
	}
	for name, tt := range map[string]struct{ path, text, want string }{
		"fine":       {},
		"no jobs":    {"jobs.go", "", "jobs.go is missing: what runs beside serving"},
		"no routes":  {"internal/api/routes.go", "package api\n", "lacks the function Routes"},
		"no handler": {"internal/rpc/rpc.go", "package rpc\n", "lacks the function NewHandler"},
		"long facade": {"shop.go", "package shop\nfunc New() {}\n" + strings.Repeat("\n", 78),
			"has 80 lines"},
		"rules that know gin": {"internal/selling/selling.go",
			"package selling\nimport _ \"github.com/gin-gonic/gin\"\n", "gin, which is not for this folder"},
		"handlers that know SQL": {"internal/api/sell.go",
			"package api\nimport _ \"" + services + "shop/internal/store\"\n", "store, which is not"},
		"a dialect that knows our API": {"internal/dialect/other/other.go",
			"package other\nimport _ \"" + services + "shop/internal/api\"\n", "api, which is not for this folder"},
		"another service": {"internal/api/sell.go", "package api\nimport _ \"" + services + "auth\"\n",
			"through internal/peers"},
		"a port elsewhere": {"internal/selling/selling.go", "package selling\ntype Till interface{}\n",
			"interface Till"},
		"a refusal elsewhere": {"internal/selling/selling.go", "package selling\nvar ErrGone = apierr.New(1)\n",
			"declares ErrGone"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "shop")
			for path, text := range fine {
				write(t, filepath.Join(dir, path), text)
			}
			switch {
			case tt.text != "":
				write(t, filepath.Join(dir, tt.path), tt.text)
			case tt.path != "":
				if err := os.Remove(filepath.Join(dir, tt.path)); err != nil {
					t.Fatal(err)
				}
			}
			r := &recorder{TB: t}
			archtest.Skeleton(r, dir)
			said := strings.Join(r.said, "\n")
			if (said == "") != (tt.want == "") || !strings.Contains(said, tt.want) {
				t.Errorf("said %q, want %q", said, tt.want)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
