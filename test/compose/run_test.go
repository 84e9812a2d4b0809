//go:build unix

package compose

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/standalone/client"
	"github.com/latchkey-dev/latchkey/test/servers"
	"github.com/latchkey-dev/latchkey/test/servers/serverstest"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// composition is docker-compose.yml at work without a container engine: the built binaries with exactly its commands
// and its environment. Only the names of hosts and the ports become those of private servers.
type composition struct {
	compose
	bin string
	// mounts is where the secrets of each service are.
	mounts string
	hosts  *strings.Replacer
	group  *servers.Group
	public map[string]string // public URL by service
	broker string            // host and port
}

func newComposition(t *testing.T) *composition {
	t.Helper()
	c := newSettings(t)
	var err error
	if c.bin, err = suite.Build(t.Context(), suite.Options{}); err != nil {
		t.Fatal(err)
	}
	if c.group, err = servers.NewGroup("compose"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.group.Close(); err != nil {
			t.Error(err)
		}
	})
	c.startServers(t)
	return c
}

// newSettings is docker-compose.yml with fresh secrets.
func newSettings(t *testing.T) *composition {
	t.Helper()
	values := makeSecrets(t)
	return &composition{
		compose: loadCompose(t, values),
		mounts:  t.TempDir(),
		hosts:   strings.NewReplacer(),
		public:  map[string]string{},
	}
}

// makeSecrets is what an environment file says after deploy/make-secrets.
func makeSecrets(t *testing.T) map[string]string {
	t.Helper()
	folder := t.TempDir()
	if err := runMakeSecrets(t, folder); err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile(filepath.Join(folder, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	values := readEnv(t, string(env))
	values["LATCHKEY_SECRETS"] = filepath.Join(folder, "secrets")
	return values
}

func runMakeSecrets(t *testing.T, folder string) error {
	t.Helper()
	out, err := exec.Command(inRoot(t, "deploy/make-secrets"), folder).CombinedOutput()
	if err != nil {
		return fmt.Errorf("deploy/make-secrets: %w: %s", err, out)
	}
	return nil
}

// readSecret is what stands in the file of a secret.
func readSecret(t *testing.T, c compose, name string) string {
	t.Helper()
	content, err := os.ReadFile(inRoot(t, c.Secrets[name].File))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// environ is the environment of the container of a service, with the files of the secrets that it is given, and no
// others.
func (c *composition) environ(t *testing.T, name string) (environ []string) {
	t.Helper()
	folder := filepath.Join(c.mounts, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, secret := range c.Services[name].Secrets {
		content := c.hosts.Replace(readSecret(t, c.compose, secret)) + "\n"
		if err := os.WriteFile(filepath.Join(folder, secret), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for variable, value := range c.Services[name].Environment {
		environ = append(environ, variable+"="+strings.Replace(c.hosts.Replace(value), "/run/secrets", folder, 1))
	}
	return environ
}

// startServers starts PostgreSQL and RabbitMQ, prepares them with the scripts that docker-compose.yml mounts, and maps
// hosts.
func (c *composition) startServers(t *testing.T) {
	t.Helper()
	postgres, rabbit := serverstest.PostgreSQL(t), serverstest.RabbitMQ(t)
	c.createDatabase(t, postgres)
	c.importDefinitions(t, rabbit)
	c.broker = rabbit.Host()

	ports, err := servers.FreePorts(2 * len(suiteServices))
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"postgres:5432", postgres.Host(), "rabbitmq:5672", c.broker}
	for i, name := range suiteServices {
		environment := c.Services[name].Environment
		public, internal := environment["LATCHKEY_ADDR"], environment["LATCHKEY_INTERNAL_ADDR"]
		c.public[name] = "http://" + servers.Address(ports[2*i])
		hosts = append(hosts, name+internal, servers.Address(ports[2*i+1]), public, servers.Address(ports[2*i]),
			internal, servers.Address(ports[2*i+1]))
	}
	c.hosts = strings.NewReplacer(hosts...)
}

// createDatabase does what the postgres image does on its first start.
func (c *composition) createDatabase(t *testing.T, postgres *servers.PostgreSQL) {
	t.Helper()
	service := c.Services["postgres"]
	script := mounted(t, service, "/docker-entrypoint-initdb.d/roles.sh")
	err := postgres.Initialize(t.Context(), service.Environment["POSTGRES_DB"], script, c.environ(t, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
}

// mounted is the file of the repository that docker-compose.yml mounts at a path.
func mounted(t *testing.T, service composeService, target string) string {
	t.Helper()
	for _, volume := range service.Volumes {
		part := strings.Split(volume, ":")
		if rest, ok := strings.CutPrefix(target, part[1]); ok && strings.HasPrefix(part[0], "./") {
			return inRoot(t, part[0]+rest)
		}
	}
	t.Fatalf("docker-compose.yml mounts nothing at %s", target)
	return ""
}

// importDefinitions gives the broker the users and permissions that the mounted script makes of the environment.
func (c *composition) importDefinitions(t *testing.T, rabbit *servers.RabbitMQ) {
	t.Helper()
	service := c.Services["rabbitmq"]
	script := exec.Command("sh", mounted(t, service, "/etc/latchkey/definitions.sh"))
	script.Env = append(c.environ(t, "rabbitmq"), "PATH="+os.Getenv("PATH"))
	definitions, err := script.Output()
	if err != nil {
		t.Fatal("definitions.sh: ", err)
	}
	if err := rabbit.Import(t.Context(), definitions); err != nil {
		t.Fatal(err)
	}
}

// command is what the container of a service would run with the given arguments.
func (c *composition) command(t *testing.T, name string, argv []string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, c.Services[name].Build.Args["SERVICE"]), argv...)
	cmd.Env = c.environ(t, name)
	return cmd
}

// up runs every migration to its end and starts every service, with no command: then the image's CMD holds.
func (c *composition) up(t *testing.T) {
	t.Helper()
	for _, name := range suiteServices {
		migration := name + "-migrate"
		if out, err := c.command(t, migration, c.Services[migration].Command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", migration, err, out)
		}
	}
	for _, name := range suiteServices {
		argv := c.Services[name].Command
		if argv == nil {
			argv = []string{"serve"}
		}
		p, err := c.group.Start(name, c.command(t, name, argv))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Await(ctx, func(ctx context.Context) error {
			return client.Ready(ctx, nil, c.public[name])
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestComposeServesALicenseFromCreationToUsage(t *testing.T) {
	c := newComposition(t)
	c.up(t)
	for _, name := range suiteServices {
		check := c.Services[name].Healthcheck.Test
		if len(check) < 3 || check[0] != "CMD" || check[1] != "/service" {
			t.Fatalf("health check of %s: %q", name, check)
		}
		if out, err := c.command(t, name, check[2:]).CombinedOutput(); err != nil {
			t.Errorf("health check of %s: %v\n%s", name, err, out)
		}
	}
	bus := c.listen(t)
	s := slice{
		authURL: c.public["auth"], licenseURL: c.public["license"], adminURL: c.public["admin"],
		adminSecret: readSecret(t, c.compose, "admin_secret"), adminAPIKey: readSecret(t, c.compose, "admin_api_key"),
	}
	s.guess(t, s.run(t))
	s.makeAdminKey(t)
	bus.await(t,
		events+" auth apikey.created", events+" license license.activated", events+" analytics anomaly.detected",
		events+" admin audit.recorded",
		invalidations+" auth apikey.created", invalidations+" license license.activated",
		invalidations+"  tick.auth", invalidations+"  tick.license", invalidations+"  tick.analytics",
	)
	c.wantDeadLetter(t, "analytics", "license.activated")
	c.wantDeadLetter(t, "admin", "audit.recorded")
	t.Run("each role keeps to its schema", c.wantRolesConfined)
	c.wantNothingRefused(t)
}

// wantNothingRefused finds permissions that docker-compose.yml fails to give: a service without one goes on and
// complains.
func (c *composition) wantNothingRefused(t *testing.T) {
	t.Helper()
	for _, name := range suiteServices {
		log, err := os.ReadFile(c.group.Path(name + ".log"))
		if err != nil {
			t.Fatal(err)
		}
		if len(log) == 0 {
			t.Errorf("%s has written no log: this test sees nothing", name)
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, "ACCESS_REFUSED") || strings.Contains(line, "permission denied") {
				t.Errorf("%s is refused something: %s", name, line)
			}
		}
	}
}

// slice is the way of one license through all services: create, activate, validate, event, usage. run returns the API
// key that it made for that.
type slice struct {
	authURL, licenseURL, adminURL string
	adminSecret, adminAPIKey      string
}

func (s slice) run(t *testing.T) (apiKey string) {
	t.Helper()
	owner := client.Client{
		AuthURL:     s.authURL,
		AdminURL:    s.adminURL,
		AdminSecret: s.adminSecret,
		AdminAPIKey: s.adminAPIKey,
	}
	key, err := owner.CreateAPIKey(t.Context(),
		client.APIKeyRequest{ClientName: t.Name(), AllowedEndpoints: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	license, err := owner.CreateLicense(t.Context(), client.LicenseRequest{CustomerID: t.Name(), MaxDevices: 2})
	if err != nil {
		t.Fatal(err)
	}
	device := map[string]any{"license_key": license.LicenseKey, "hardware_id": "device-1"}
	var activation struct {
		Activated bool `json:"activated"`
	}
	ask(t, http.MethodPost, s.licenseURL+"/api/v1/license/activate", "X-API-Key", key, device, http.StatusCreated,
		&activation)
	if !activation.Activated {
		t.Error("activate does not say activated")
	}
	var validation struct {
		Valid     bool   `json:"valid"`
		LicenseID string `json:"license_id"`
	}
	ask(t, http.MethodPost, s.licenseURL+"/api/v1/license/validate", "X-API-Key", key, device, http.StatusOK,
		&validation)
	if !validation.Valid || validation.LicenseID != license.LicenseID {
		t.Errorf("validate answers %+v", validation)
	}
	s.awaitUsage(t, license.LicenseID)
	return key
}

// awaitUsage waits until analytics has counted the one activation and the one validation; yesterday's too, in case it
// has just turned midnight.
func (s slice) awaitUsage(t *testing.T, licenseID string) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func() error {
		var usage struct {
			Totals struct{ Activations, Validations int } `json:"totals"`
		}
		ask(t, http.MethodGet, s.adminURL+"/api/v1/admin/licenses/"+licenseID+"/usage?days=2", "X-Admin-API-Key",
			s.adminAPIKey, nil, http.StatusOK, &usage)
		if usage.Totals.Activations != 1 || usage.Totals.Validations != 1 {
			return fmt.Errorf("usage shows %+v, want one activation and one validation", usage.Totals)
		}
		return nil
	})
}
