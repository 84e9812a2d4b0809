//go:build unix

package compose

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

// compose is the part of docker-compose.yml that says what runs and how.
type compose struct {
	Name     string                    `yaml:"name"`
	Services map[string]composeService `yaml:"services"`
	Networks map[string]struct {
		Internal bool `yaml:"internal"`
	} `yaml:"networks"`
	Secrets map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

type composeService struct {
	Image      string `yaml:"image"`
	PullPolicy string `yaml:"pull_policy"`
	Build      struct {
		Context    string            `yaml:"context"`
		Dockerfile string            `yaml:"dockerfile"`
		Args       map[string]string `yaml:"args"`
	} `yaml:"build"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Secrets     []string          `yaml:"secrets"`
	Networks    []string          `yaml:"networks"`
	Ports       []string          `yaml:"ports"`
	User        string            `yaml:"user"`
	CapDrop     []string          `yaml:"cap_drop"`
	CapAdd      []string          `yaml:"cap_add"`
	SecurityOpt []string          `yaml:"security_opt"`
	MemLimit    string            `yaml:"mem_limit"`
	PidsLimit   int               `yaml:"pids_limit"`
	Healthcheck struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
}

// variable is ${NAME}, ${NAME:-default}, ${NAME:+instead} or ${NAME:?what to do}.
var variable = regexp.MustCompile(`\$\{([A-Z_]+)(?::([-+?])([^}]*))?\}`)

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
		case operator == "+" && value == "":
			return ""
		case operator == "+":
			return word
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

// developed is docker-compose.yml with the profile for a try on one's own computer.
func developed(t *testing.T) compose {
	t.Helper()
	raw, err := os.ReadFile(inRoot(t, "deploy/dev.env"))
	if err != nil {
		t.Fatal(err)
	}
	return loadCompose(t, readEnv(t, string(raw)))
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

// inRoot is a path in the root of the repository, or an absolute one.
func inRoot(t *testing.T, path string) string {
	t.Helper()
	if filepath.IsAbs(path) {
		return path
	}
	full, err := filepath.Abs(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return full
}

// suiteServices are the services of the suite, by their names.
var suiteServices = slices.Sorted(slices.Values(app.Services()))

func TestComposeGatesEveryServiceOnWhatItNeeds(t *testing.T) {
	c := developed(t)
	want := []string{"postgres", "rabbitmq", "prometheus", "grafana"}
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
		for _, own := range []composeService{service, c.Services[name+"-migrate"]} {
			if own.PullPolicy != "never" { // "docker compose pull" would bring what a stranger calls so
				t.Errorf("the image of %s is pulled: %q", name, own.PullPolicy)
			}
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
