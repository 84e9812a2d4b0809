package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// TestMaintenance goes through every operation of all services in maintenance mode: those that change something are
// refused, and all others are answered without a change of any table. Those that only read though their method says
// otherwise are called as clients call them, so that what proto/openapi names there is seen to be answered.
func TestMaintenance(t *testing.T) {
	dir := t.TempDir()
	first, _, stop := start(t, anyPort(dir))
	if status := validate(t, first, "activate"); status != http.StatusCreated {
		t.Errorf("activate answers %d", status)
	}
	posts := readingPosts(t, first)
	eachOperation(t, first, func(op operation, url string) {
		if openapi.Reads(op.method, op.route()) {
			op.call(t, url, first) // the first to ask for a public key has it made
		}
	})
	stop()
	before := contents(t, dir)

	t.Setenv("LATCHKEY_MAINTENANCE", "true")
	if err := os.Rename(filepath.Join(dir, credentials.File), filepath.Join(dir, "kept.json")); err != nil {
		t.Fatal(err)
	}
	_, _, stop = start(t, anyPort(dir)) // it makes no demo instead
	stop()
	if err := os.Rename(filepath.Join(dir, "kept.json"), filepath.Join(dir, credentials.File)); err != nil {
		t.Fatal(err)
	}
	c, _, stop := start(t, anyPort(dir))
	for range 2 { // from the database, and from memory
		if status := validate(t, c, "validate"); status != http.StatusOK {
			t.Errorf("validate answers %d", status)
		}
	}
	for _, p := range posts {
		if status, body := p.send(t, c); status != http.StatusOK {
			t.Errorf("POST %s is answered %d %s", p.path, status, body)
		}
	}
	refused, answered := 0, 0
	eachOperation(t, c, func(op operation, url string) {
		known := slices.ContainsFunc(posts, func(p post) bool { return p.path == op.path })
		if reads := openapi.Reads(op.method, op.route()); op.method == http.MethodPost && reads != known {
			t.Errorf("POST %s (reads: %v) is among those that are seen to read: %v", op.path, reads, known)
		}
		status, retry, body := op.call(t, url, c)
		switch reads := openapi.Reads(op.method, op.route()); {
		case reads && status < http.StatusInternalServerError:
			answered++
		case !reads && op.unavailable(status) && retry == "60" &&
			strings.Contains(strings.ToUpper(body), "MAINTENANCE"):
			refused++
		default:
			t.Errorf("%s %s (reads: %v) is answered %d %s", op.method, op.path, reads, status, body)
		}
	})
	if refused < 80 || answered < 50 {
		t.Errorf("only %d operations were refused, and %d answered", refused, answered)
	}
	stop()
	if after := contents(t, dir); !slices.Equal(before, after) {
		t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// post is a call as clients make it, and the service that it is for.
type post struct {
	service    func(c credentials.Credentials) string
	path, body string
	header     map[string]string
}

func (p post) send(t *testing.T, c credentials.Credentials) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.service(c)+p.path, strings.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-API-Key", c.APIKey)
	req.Header.Set("X-Admin-API-Key", c.AdminAPIKey)
	for name, value := range p.header {
		req.Header.Set(name, value)
	}
	status, _, body = do(t, req)
	return status, body
}

func authURL(c credentials.Credentials) string    { return c.AuthURL }
func licenseURL(c credentials.Credentials) string { return c.LicenseURL }
func adminURL(c credentials.Credentials) string   { return c.AdminURL }

// readingPosts makes what the calls need that only read: the pair of tokens has just been refreshed, and nobody has
// used it.
func readingPosts(t *testing.T, c credentials.Credentials) []post {
	t.Helper()
	var made struct {
		Access       string `json:"access_token"`
		Refresh      string `json:"refresh_token"`
		Offline      string `json:"token"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	prepare := func(service func(credentials.Credentials) string, path, body string, args ...any) {
		t.Helper()
		p := post{service: service, path: path, body: fmt.Sprintf(body, args...)}
		if made.Access != "" {
			p.header = map[string]string{"Authorization": "Bearer " + made.Access}
		}
		status, answer := p.send(t, c)
		if err := json.Unmarshal([]byte(answer), &made); err != nil || status >= http.StatusBadRequest {
			t.Fatalf("POST %s is answered %d %s", path, status, answer)
		}
	}
	prepare(authURL, "/api/v1/auth/token", `{"license_id": %q, "hardware_id": "my-device"}`, c.LicenseID)
	prepare(licenseURL, "/api/v1/license/offline-token", `{"duration_hours": 24}`)
	prepare(authURL, "/api/v1/auth/refresh", `{"refresh_token": %q}`, made.Refresh)
	prepare(adminURL, "/api/v1/admin/products", `{"code": "studio", "authorization_method": "user"}`)
	prepare(adminURL, "/api/v1/admin/users", `{"product": "studio", "customer_id": "acme", "email": "ada@example.com",
		"initial_password": "correct horse"}`)
	prepare(adminURL, "/api/v1/admin/integrations/licensespring", `{"name": "Desktop app"}`)

	device := fmt.Sprintf(`{"license_key": %q, "hardware_id": "my-device"}`, c.LicenseKey)
	return []post{
		{authURL, "/api/v1/auth/verify", "", map[string]string{"Authorization": "Bearer " + made.Access}},
		{licenseURL, "/api/v1/license/validate", device, nil},
		{licenseURL, "/api/v1/license/validate-offline", fmt.Sprintf(`{"token": %q}`, made.Offline), nil},
		{licenseURL, "/api/v1/license/users/sign-in",
			`{"product": "studio", "email": "ada@example.com", "password": "correct horse"}`, nil},
		{licenseURL, "/api/v4/oauth/token",
			"grant_type=client_credentials&client_id=" + made.ClientID + "&client_secret=" + made.ClientSecret,
			map[string]string{"Content-Type": "application/x-www-form-urlencoded"}},
		{adminURL, "/api/v1/admin/licenses/search", fmt.Sprintf(`{"license_key": %q}`, c.LicenseKey), nil},
		{adminURL, "/api/v1/admin/explain", device, nil},
	}
}

// operation is one of an OpenAPI document.
type operation struct{ method, path string }

// eachOperation calls fn for every operation of all services, with the address of its service.
func eachOperation(t *testing.T, c credentials.Credentials, fn func(op operation, url string)) {
	t.Helper()
	for _, url := range []string{c.AuthURL, c.LicenseURL, c.AnalyticsURL, c.AdminURL} {
		for _, op := range operations(t, url) {
			fn(op, url)
		}
	}
}

// unavailable reports whether a status says so to the clients of the operation: Spectra Analyze knows 502 alone.
func (o operation) unavailable(status int) bool {
	return status == http.StatusServiceUnavailable || status == http.StatusBadGateway &&
		slices.ContainsFunc([]string{"/upload", "/machine-id/generate", "/configure/cloud"},
			func(end string) bool { return strings.HasSuffix(o.path, end) })
}

func operations(t *testing.T, url string) (all []operation) {
	t.Helper()
	res, err := http.Get(url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var document struct{ Paths map[string]map[string]any }
	if err := json.NewDecoder(res.Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths {
		for _, method := range []string{"get", "put", "post", "patch", "delete"} {
			if item[method] != nil {
				all = append(all, operation{strings.ToUpper(method), path})
			}
		}
	}
	return all
}

var parameter = regexp.MustCompile(`\{([^}]*)\}`)

// route is the path as the router has it.
func (o operation) route() string { return parameter.ReplaceAllString(o.path, ":$1") }

// call sends every credential there is, and a body that means something to many operations.
func (o operation) call(t *testing.T, url string, c credentials.Credentials) (status int, retry, body string) {
	t.Helper()
	given := strings.ReplaceAll(o.path, "{license_id}", c.LicenseID)
	const members = `{"license_key": %q, "license_id": %[2]q, "hardware_id": "my-device", "token": "x"}`
	req, err := http.NewRequestWithContext(t.Context(), o.method, url+parameter.ReplaceAllString(given, "1"),
		strings.NewReader(fmt.Sprintf(members, c.LicenseKey, c.LicenseID)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-API-Key", c.APIKey)
	req.Header.Set("X-Admin-Secret", c.AdminSecret)
	req.Header.Set("X-Admin-API-Key", c.AdminAPIKey)
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (status int, retry, body string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Retry-After"), string(raw)
}

// contents is a line for each table of each database, with a hash of its rows.
func contents(t *testing.T, dir string) (lines []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		d, err := db.Open(t.Context(), db.Config{URL: "sqlite:" + file, ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		var tables []string
		if err := d.Read(t.Context()).Raw(
			"SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").Scan(&tables).Error; err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			lines = append(lines, fmt.Sprintf("%s %s %x", filepath.Base(file), table, hashOf(t, d, table)))
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

func hashOf(t *testing.T, d *db.DB, table string) [sha256.Size]byte {
	t.Helper()
	var rows []map[string]any
	if err := d.Read(context.WithoutCancel(t.Context())).Table(table).Find(&rows).Error; err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(fmt.Append(nil, rows))
}

// TestMaintenanceMakesNothing: a start in the wrong directory leaves nothing there.
func TestMaintenanceMakesNothing(t *testing.T) {
	t.Setenv("LATCHKEY_MAINTENANCE", "true")
	dir := filepath.Join(t.TempDir(), "elsewhere")
	err := run(t.Context(), anyPort(dir), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "LATCHKEY_MAINTENANCE") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}
