package release

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

const root = "../.."

// config is what the tests read of .goreleaser.yaml.
type config struct {
	Builds []struct {
		ID, Main, Binary         string
		Env, Goos, Goarch, Flags []string
		Ldflags                  []string
		ModTimestamp             string `yaml:"mod_timestamp"`
	}
	Archives []struct {
		IDs   []string
		Files []struct{ Src string }
	}
	Images []struct {
		ID, Dockerfile string
		IDs, Images    []string
		Flags          []string
		BuildArgs      map[string]string `yaml:"build_args"`
		Platforms      []string
	} `yaml:"dockers_v2"`
	Release struct{ Draft bool }
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func readConfig(t *testing.T) (c config) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, ".goreleaser.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestReleaseHasEveryProgram: the suite and each service are built alike, packed and, the services, made images of.
func TestReleaseHasEveryProgram(t *testing.T) {
	c := readConfig(t)
	var built, packed, imaged []string
	for _, b := range c.Builds {
		built = append(built, b.ID)
		first := c.Builds[0]
		if b.ID != b.Binary || !slices.Equal(b.Flags, first.Flags) || !slices.Equal(b.Ldflags, first.Ldflags) ||
			!slices.Contains(b.Env, "CGO_ENABLED=0") || len(b.Goos)*len(b.Goarch) != 6 || b.ModTimestamp == "" {
			t.Errorf("%s is built in another way: %+v", b.ID, b)
		}
		exists(t, b.Main)
	}
	for _, a := range c.Archives {
		packed = append(packed, a.IDs...)
		for _, f := range a.Files {
			exists(t, f.Src)
		}
	}
	for _, i := range c.Images {
		imaged = append(imaged, i.ID)
		if !slices.Equal(i.IDs, []string{i.ID}) || i.BuildArgs["SERVICE"] != i.ID || len(i.Platforms) != 2 ||
			!slices.Equal(i.Images, []string{"ghcr.io/latchkey-dev/latchkey/" + i.ID}) {
			t.Errorf("the image of %s: %+v", i.ID, i)
		}
		exists(t, i.Dockerfile)
		for _, stage := range i.Flags {
			if !strings.Contains(read(t, i.Dockerfile), " AS "+strings.TrimPrefix(stage, "--target=")+"\n") {
				t.Errorf("%s has no stage for %s", i.Dockerfile, stage)
			}
		}
	}
	services := slices.Sorted(slices.Values(app.Services()))
	programs := slices.Sorted(slices.Values(append([]string{"latchkey"}, services...)))
	for _, list := range []struct{ got, want []string }{{built, programs}, {packed, programs}, {imaged, services}} {
		if slices.Sort(list.got); !slices.Equal(list.got, list.want) {
			t.Errorf("got %v, want %v", list.got, list.want)
		}
	}
	if !c.Release.Draft {
		t.Error("a release is published before it has been verified")
	}
}

func exists(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, name)); err != nil {
		t.Error(err)
	}
}

var (
	uses = regexp.MustCompile(`uses: (\S+)(.*)`)
	// pinned is an action at a commit, with the version that this is for people and for Dependabot.
	pinned = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+@[0-9a-f]{40}$`)
	// ran is a program of the repository in a workflow.
	ran = regexp.MustCompile(`(?m)run: (\S*/\S+)`)
)

// TestWorkflowsArePinned: an action is named by its commit, a workflow has no right that a job does not ask for, and
// what it runs is there.
func TestWorkflowsArePinned(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		name, _ := filepath.Rel(root, file)
		text := read(t, name)
		for _, m := range uses.FindAllStringSubmatch(text, -1) {
			if !pinned.MatchString(m[1]) || !strings.HasPrefix(m[2], " # v") {
				t.Errorf("%s: %s%s is not a commit with its version", name, m[1], m[2])
			}
		}
		for _, m := range ran.FindAllStringSubmatch(text, -1) {
			exists(t, m[1])
		}
		if !strings.Contains(text, "\npermissions: {}\n") {
			t.Errorf("%s gives every job rights", name)
		}
	}
}

// TestUpdatesCoverEveryModule: no go.mod and no image is forgotten by the updates of dependencies.
func TestUpdatesCoverEveryModule(t *testing.T) {
	var d struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directories []string
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github/dependabot.yml")), &d); err != nil {
		t.Fatal(err)
	}
	covered := map[string][]string{}
	for _, u := range d.Updates {
		for _, pattern := range u.Directories {
			folders, err := filepath.Glob(filepath.Join(root, pattern))
			if err != nil || len(folders) == 0 {
				t.Errorf("%s: nothing is at %s", u.Ecosystem, pattern)
			}
			covered[u.Ecosystem] = append(covered[u.Ecosystem], folders...)
		}
	}
	for _, pattern := range []string{"*/go.mod", "*/*/go.mod"} {
		modules, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, module := range modules {
			if !slices.Contains(covered["gomod"], filepath.Dir(module)) {
				t.Errorf("%s gets no updates", module)
			}
		}
	}
	for ecosystem, folder := range map[string]string{
		"docker": "deploy", "docker-compose": "", "github-actions": "",
	} {
		if !slices.Contains(covered[ecosystem], filepath.Join(root, folder)) {
			t.Errorf("%s is not updated", ecosystem)
		}
	}
}
