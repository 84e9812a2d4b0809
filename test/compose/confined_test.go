//go:build unix

package compose

import (
	"bytes"
	"cmp"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

func TestEveryContainerIsConfined(t *testing.T) {
	for name, service := range developed(t).Services {
		if !slices.Equal(service.CapDrop, []string{"ALL"}) || len(service.CapAdd) > 0 {
			t.Errorf("%s drops the capabilities %v and adds %v", name, service.CapDrop, service.CapAdd)
		}
		if !slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s runs with %v", name, service.SecurityOpt)
		}
		if service.MemLimit == "" || service.PidsLimit == 0 {
			t.Errorf("%s has no limit of memory or processes", name)
		}
		ours := strings.HasPrefix(service.Image, "latchkey/") // USER in deploy/Dockerfile
		if !ours && (service.User == "" || service.User == "root" || !exactVersion.MatchString(service.Image)) {
			t.Errorf("%s runs %s as %q, want an exact version and another user than root",
				name, service.Image, service.User)
		}
	}
}

var exactVersion = regexp.MustCompile(`:v?(\d+\.\d+\.\d+|1[4-9]\.\d+)(-|@|$)`) // PostgreSQL's have two parts

// TestImagesNameTheirVersion: what Compose, the manifests and the chart pull is of an exact version everywhere, and of
// the same everywhere; docs/operations.md says how its digest is pinned.
func TestImagesNameTheirVersion(t *testing.T) {
	image := regexp.MustCompile(`(?m)^ *image: ([a-z]+(?:/[a-z]+)?):(\S+)$`) // ours have no version
	versions, files := map[string]string{}, []string{inRoot(t, "docker-compose.yml")}
	err := filepath.WalkDir(inRoot(t, "deploy"), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".yaml") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range image.FindAllStringSubmatch(string(raw), -1) {
			name, version := found[1], found[2]
			known := cmp.Or(versions[name], version)
			if versions[name] = version; !exactVersion.MatchString(":"+version) || version != known {
				t.Errorf("%s: %s:%s, elsewhere %s; want one exact version", file, name, version, known)
			}
		}
	}
	if len(versions) < 4 {
		t.Errorf("only %v are found", versions)
	}
	doc, err := os.ReadFile(inRoot(t, "docs/operations.md"))
	if err != nil || !strings.Contains(string(doc), "docker buildx imagetools inspect postgres:"+versions["postgres"]) {
		t.Errorf("docs/operations.md does not say how the digest of PostgreSQL's image is found (%v)", err)
	}
}

// TestShippedImagesArePinned: what our images are made of is named by its digest, so that nobody can put another in its
// place. The stage that compiles is not shipped.
func TestShippedImagesArePinned(t *testing.T) {
	dockerfile, err := os.ReadFile(inRoot(t, "deploy/Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	from := regexp.MustCompile(`(?m)^FROM (--platform=\S+ )?(\S+)(?: AS (\S+))?$`)
	stages := map[string]bool{}
	for _, stage := range from.FindAllStringSubmatch(string(dockerfile), -1) {
		image, name := stage[2], stage[3]
		if !stages[image] && name != "build" && !regexp.MustCompile(`@sha256:[0-9a-f]{64}$`).MatchString(image) {
			t.Errorf("%s has no digest", image)
		}
		stages[name] = true
	}
	if len(stages) < 3 {
		t.Errorf("the stages %v are not all", stages)
	}
}

// TestNetworksConnectOnlyWhoNeedsIt: nobody is in a network without need, and only published ports lead out.
func TestNetworksConnectOnlyWhoNeedsIt(t *testing.T) {
	c := developed(t)
	inside := map[string][]string{}
	for name, service := range c.Services {
		for _, network := range service.Networks {
			inside[network] = append(inside[network], name)
		}
		leadsOut := slices.ContainsFunc(service.Networks, func(network string) bool {
			return !c.Networks[network].Internal
		})
		if published := len(service.Ports) > 0; published != leadsOut {
			t.Errorf("%s publishes %v in the networks %v", name, service.Ports, service.Networks)
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") || strings.Contains(port, ":51") {
				t.Errorf("%s publishes %s", name, port)
			}
		}
	}
	databaseUsers := []string{"postgres"}
	for _, service := range suiteServices {
		databaseUsers = append(databaseUsers, service, service+"-migrate")
	}
	for network, want := range map[string][]string{
		"edge": suiteServices, "peers": append([]string{"prometheus"}, suiteServices...),
		"management": {"rabbitmq", "grafana"}, "observability": {"prometheus", "grafana"}, "database": databaseUsers,
		"broker": append([]string{"rabbitmq"}, suiteServices...),
	} {
		slices.Sort(want)
		if got := slices.Sorted(slices.Values(inside[network])); !slices.Equal(got, want) {
			t.Errorf("in %s are %v, want %v", network, got, want)
		}
	}
	if got := slices.Sorted(maps.Keys(inside)); !slices.Equal(got, slices.Sorted(maps.Keys(c.Networks))) {
		t.Errorf("used are the networks %v", got)
	}
}

// TestOneSettingPublishesApplicationsAlone: who opens what applications call does not open administration.
func TestOneSettingPublishesApplicationsAlone(t *testing.T) {
	values := makeSecrets(t)
	values["LATCHKEY_BIND"] = "0.0.0.0"
	open := map[string]bool{}
	for name, service := range loadCompose(t, values).Services {
		for _, port := range service.Ports {
			open[name] = open[name] || strings.HasPrefix(port, "0.0.0.0:")
		}
	}
	for name, isOpen := range open {
		if want := name == "auth" || name == "license"; isOpen != want {
			t.Errorf("%s is published: %v", name, isOpen)
		}
	}
}

// TestATryLeavesProductionAlone: what a try keeps is kept elsewhere, as its passwords and keys are known to everybody.
func TestATryLeavesProductionAlone(t *testing.T) {
	raw, err := os.ReadFile(inRoot(t, "deploy/dev.env"))
	if err != nil {
		t.Fatal(err)
	}
	project := readEnv(t, string(raw))["COMPOSE_PROJECT_NAME"]
	if production := loadCompose(t, makeSecrets(t)).Name; project == "" || project == production {
		t.Errorf("the project of a try is %q, and of production %q", project, production)
	}
}

// secretSetting matches the settings that hold a secret.
var secretSetting = regexp.MustCompile(`(PASSWORD|SECRET|DATABASE_URL|AMQP_URL|_KEY|_NEXT|_PREVIOUS)$`)

// TestSecretsComeFromFiles: no secret stands in an environment, and each service is given what it reads.
func TestSecretsComeFromFiles(t *testing.T) {
	values := makeSecrets(t)
	values["ADMIN_SECRET_PREVIOUS"] = "yes"
	for _, service := range []string{"AUTH", "LICENSE", "ADMIN"} {
		values[service+"_MASTER_KEY_NEXT"], values[service+"_MASTER_KEY_PREVIOUS"] = "yes", "yes" // names all files
	}
	c := loadCompose(t, values)
	for name, service := range c.Services {
		var read []string
		for variable, value := range service.Environment {
			if secretSetting.MatchString(variable) {
				t.Errorf("%s has %s in its environment", name, variable)
			}
			if secret, ok := strings.CutPrefix(value, "/run/secrets/"); ok && strings.HasSuffix(variable, "_FILE") {
				read = append(read, secret)
			}
		}
		slices.Sort(read)
		if given := slices.Sorted(slices.Values(service.Secrets)); !slices.Equal(given, read) {
			t.Errorf("%s is given %v and reads %v", name, given, read)
		}
	}
}

// TestSecretsAreMade: deploy/make-secrets and the profile for a try have every file, and no file twice.
func TestSecretsAreMade(t *testing.T) {
	values := makeSecrets(t)
	for _, c := range []compose{loadCompose(t, values), developed(t)} {
		names := slices.Sorted(maps.Keys(c.Secrets))
		var made []string
		for _, name := range names {
			file := inRoot(t, c.Secrets[name].File)
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rotated := strings.HasSuffix(name, "_next") || strings.HasSuffix(name, "_previous")
			if len(bytes.TrimSpace(content)) == 0 != rotated {
				t.Errorf("%s holds %d bytes", name, len(content))
			}
			fresh := filepath.Dir(file) == values["LATCHKEY_SECRETS"]
			if fresh && !rotated && slices.Contains(made, string(content)) {
				t.Errorf("%s is the same as another one", name)
			}
			if info, err := os.Stat(file); err != nil || fresh && info.Mode().Perm() != 0o644 {
				t.Errorf("%s is not readable for the user of a container, or writable for others (%v)", name, err)
			}
			made = append(made, string(content))
		}
		files, err := filepath.Glob(filepath.Join(filepath.Dir(inRoot(t, c.Secrets[names[0]].File)), "*"))
		if err != nil || len(files) != len(names) {
			t.Errorf("%d files for %d secrets (%v)", len(files), len(names), err)
		}
	}
	example, err := os.ReadFile(inRoot(t, ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range readEnv(t, string(example)) {
		if secretSetting.MatchString(name) && value != "" {
			t.Errorf(".env.example gives %s a value", name)
		}
	}
}

// TestMakeSecretsMakesSecretsThatNobodyGuesses: the guard of credentials tells them by their form.
func TestMakeSecretsMakesSecretsThatNobodyGuesses(t *testing.T) {
	c := loadCompose(t, makeSecrets(t))
	for name, prefix := range map[string]string{"admin_secret": "as_", "admin_api_key": "ak_"} {
		if made := readSecret(t, c, name); !secret.WellFormed(prefix, made) {
			t.Errorf("%s is %q", name, made)
		}
	}
}

// TestMakeSecretsOverwritesNothing: who runs it twice keeps what the database was made with.
func TestMakeSecretsOverwritesNothing(t *testing.T) {
	values := makeSecrets(t)
	folder := filepath.Dir(values["LATCHKEY_SECRETS"])
	before := readSecret(t, loadCompose(t, values), "auth_master_key")
	if err := runMakeSecrets(t, folder); err == nil {
		t.Error("it runs twice")
	}
	if after := readSecret(t, loadCompose(t, values), "auth_master_key"); after != before {
		t.Error("the master key was replaced")
	}
}
