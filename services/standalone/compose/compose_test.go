//go:build unix

package compose

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// compose is the part of docker-compose.yml that says what runs and how.
type compose struct {
	Services map[string]composeService `yaml:"services"`
}

type composeService struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string            `yaml:"context"`
		Dockerfile string            `yaml:"dockerfile"`
		Args       map[string]string `yaml:"args"`
	} `yaml:"build"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Healthcheck struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
}

// variable is ${NAME}, ${NAME:-default} or ${NAME:?what to do}.
var variable = regexp.MustCompile(`\$\{([A-Z_]+)(?::([-?])([^}]*))?\}`)

// loadCompose reads docker-compose.yml with the variables of values.
func loadCompose(t *testing.T, values map[string]string) compose {
	t.Helper()
	raw, err := os.ReadFile(inRoot(t, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	text := variable.ReplaceAllStringFunc(string(raw), func(match string) string {
		part := variable.FindStringSubmatch(match)
		name, operator, word := part[1], part[2], part[3]
		switch value := values[name]; {
		case value != "":
			return value
		case operator == "-":
			return word
		default:
			t.Fatalf("docker-compose.yml wants %s: %s", name, word)
			return ""
		}
	})
	var c compose
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// readEnv reads an environment file.
func readEnv(t *testing.T, text string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			values[name] = value
		}
	}
	return values
}

// inRoot is a path in the root of the repository.
func inRoot(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(filepath.Join("..", "..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return full
}

// suiteServices are the services of the suite in docker-compose.yml.
var suiteServices = []string{"admin", "analytics", "auth", "license"}

func TestComposeGatesEveryServiceOnWhatItNeeds(t *testing.T) {
	raw, err := os.ReadFile(inRoot(t, "deploy/dev.env"))
	if err != nil {
		t.Fatal(err)
	}
	c := loadCompose(t, readEnv(t, string(raw)))
	want := []string{"postgres", "rabbitmq"}
	for _, name := range suiteServices {
		want = append(want, name, name+"-migrate")
		service := c.Services[name]
		if got := service.DependsOn[name+"-migrate"].Condition; got != "service_completed_successfully" {
			t.Errorf("%s waits for its migration until %q", name, got)
		}
		if got := service.DependsOn["rabbitmq"].Condition; got != "service_healthy" {
			t.Errorf("%s waits for rabbitmq until %q", name, got)
		}
		if got := c.Services[name+"-migrate"].DependsOn["postgres"].Condition; got != "service_healthy" {
			t.Errorf("%s-migrate waits for postgres until %q", name, got)
		}
		if service.Build.Args["SERVICE"] != name || service.Image != "latchkey/"+name {
			t.Errorf("%s runs image %q built for %q", name, service.Image, service.Build.Args["SERVICE"])
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(c.Services)); !slices.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
	for name, service := range c.Services {
		if service.Image == "" || len(service.Healthcheck.Test) == 0 && !strings.HasSuffix(name, "-migrate") {
			t.Errorf("%s has no image or no health check", name)
		}
	}
}

func TestComposeHasNoDefaultPassword(t *testing.T) {
	raw, err := os.ReadFile(inRoot(t, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, match := range variable.FindAllStringSubmatch(string(raw), -1) {
		name, operator := match[1], match[2]
		if !strings.HasSuffix(name, "_PASSWORD") && !strings.HasSuffix(name, "_SECRET") && !strings.HasSuffix(name, "_KEY") {
			continue
		}
		if found++; operator != "?" {
			t.Errorf("%s starts without a value", match[0])
		}
	}
	if found == 0 {
		t.Error("found no secret at all: the test looks in the wrong place")
	}
	example, err := os.ReadFile(inRoot(t, ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range readEnv(t, string(example)) {
		if value != "" && name != "LATCHKEY_BIND" {
			t.Errorf(".env.example gives %s a value", name)
		}
	}
}

func TestDockerfileCopiesEveryModule(t *testing.T) {
	dockerfile, err := os.ReadFile(inRoot(t, "deploy/Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	work, err := os.ReadFile(inRoot(t, "go.work"))
	if err != nil {
		t.Fatal(err)
	}
	modules := regexp.MustCompile(`(?m)^\s+\./(\S+)$`).FindAllStringSubmatch(string(work), -1)
	if len(modules) == 0 {
		t.Fatal("found no module in go.work")
	}
	for _, module := range modules {
		if line := fmt.Sprintf("COPY %s/go.mod ", module[1]); !strings.Contains(string(dockerfile), line) {
			t.Errorf("deploy/Dockerfile lacks a line that starts with %q", line)
		}
	}
}

// TestMakeEnvMakesSecretsThatNobodyGuesses: the guard of credentials tells them by their form.
func TestMakeEnvMakesSecretsThatNobodyGuesses(t *testing.T) {
	out, err := exec.Command(inRoot(t, "deploy/make-env")).Output()
	if err != nil {
		t.Fatal("deploy/make-env: ", err)
	}
	values := readEnv(t, string(out))
	for name, prefix := range map[string]string{"LATCHKEY_ADMIN_SECRET": "as_", "LATCHKEY_ADMIN_API_KEY": "ak_"} {
		if !secret.WellFormed(prefix, values[name]) {
			t.Errorf("%s is %q", name, values[name])
		}
	}
}
