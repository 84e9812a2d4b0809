package config

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrint(t *testing.T) {
	clean(t)
	t.Setenv("LATCHKEY_DATABASE_URL", "postgres://ann:hush@db:5432/x?password=hush&sslmode=disable")
	t.Setenv("LATCHKEY_MAX_CONNS", "8")
	t.Setenv("LATCHKEY_INTERNAL_SECRET_FILE", write(t, "hush"))
	path := write(t, "ratio: 0.25\n")
	var dst sample
	settings, err := Load("test", Options{Args: []string{"--config", path, "--addr", ":9"}}, &dst)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := settings.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hush") {
		t.Errorf("tells %s", out.String())
	}
	for _, want := range [][]string{
		{"database_url", "postgres://ann:xxxxx@db:5432/x?password=xxxxx&sslmode=disable", "LATCHKEY_DATABASE_URL"},
		{"start_timeout", "1m0s", "default"}, {"addr", ":9", "--addr"},
		{"internal_secret", "***", "LATCHKEY_INTERNAL_SECRET_FILE"},
		{"trusted_proxies", "-", "default"}, {"max_conns", "8", "LATCHKEY_MAX_CONNS"}, {"ratio", "0.25", path},
		{"metrics_public", "-", "default"},
	} {
		found := false
		for line := range strings.Lines(out.String()) {
			found = found || cmp.Equal(strings.Fields(line), want)
		}
		if !found {
			t.Errorf("no line %v in\n%s", want, out.String())
		}
	}
}

func TestMaskedURLs(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"postgres://u:p@h/d":             "postgres://u:xxxxx@h/d",
		"sqlite:/data/x.db":              "sqlite:/data/x.db",
		"sqlite:x.db":                    "sqlite:x.db",
		"postgres:u:p@h":                 "***",
		"host=db password=hush user=ann": "***",
		"amqp://u:p%zz@h":                "***",
	} {
		dst := sample{shared: shared{URL: in}}
		if got := fieldsOf(&dst)[0].masked(); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	var out bytes.Buffer
	if err := Markdown(&out, &sample{Addr: ":5001"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `LATCHKEY_ADDR` | `addr` | `--addr` | `:5001` | host:port \\| of the service |\n",
		"| `LATCHKEY_INTERNAL_SECRET`, `LATCHKEY_INTERNAL_SECRET_FILE` | `internal_secret` |  |  | a secret |\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "START_TIMEOUT") {
		t.Error("the embedded struct has a table of its own")
	}
}
