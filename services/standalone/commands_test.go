package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// command runs a command of the program to its end.
func (d installation) command(args ...string) (out string, code int) {
	d.Helper()
	var said, logs bytes.Buffer
	if err := run(d.Context(), append(anyPort(d.dir), args...), &said, &logs); err != nil {
		code = app.Fail(&said, program, err)
	}
	return said.String(), code
}

// installation is a data directory.
type installation struct {
	*testing.T
	dir string
}

// post makes a call that must be answered with status, and returns the members of the answer that are texts.
func (d installation) post(status int, url, header, value, body string) map[string]string {
	d.Helper()
	req, err := http.NewRequestWithContext(d.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(header, value)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		d.Fatalf("%s: %d %s, %v", url, res.StatusCode, raw, err)
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		d.Fatal(err)
	}
	texts := map[string]string{}
	for name, member := range members {
		texts[name], _ = member.(string)
	}
	return texts
}

func (d installation) tokens(c credentials.Credentials) map[string]string {
	d.Helper()
	body := fmt.Sprintf(`{"license_id":%q,"hardware_id":"commands"}`, c.LicenseID)
	return d.post(200, c.AuthURL+"/api/v1/auth/token", "X-API-Key", c.APIKey, body)
}

// TestRevokeSigningKey withdraws the signing key of a stopped program: once it runs again, it takes no token of
// the key.
func TestRevokeSigningKey(t *testing.T) {
	d := installation{t, t.TempDir()}
	c, _, stop := start(t, anyPort(d.dir))
	body := fmt.Sprintf(`{"license_key":%q,"hardware_id":"commands"}`, c.LicenseKey)
	d.post(201, c.LicenseURL+"/api/v1/license/activate", "X-API-Key", c.APIKey, body)
	before := d.tokens(c)
	if out, code := d.command("revoke-signing-key", "x"); code != 1 || !strings.Contains(out, "stop it") {
		t.Errorf("beside the running program: %d %s", code, out)
	}
	stop()

	out, code := d.command("revoke-signing-key", "nonsense")
	kid, state, _ := strings.Cut(strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]), "  ")
	if code != 2 || state != "signs" {
		t.Fatalf("an unknown key: %d %s", code, out)
	}
	if out, code := d.command("revoke-signing-key", kid); code != 0 || !strings.Contains(out, kid+" is revoked") {
		t.Fatalf("%d %s", code, out)
	}
	if out, code := d.command("rotate-signing-key"); code != 0 ||
		!strings.Contains(out, "is published and signs from") {
		t.Errorf("%d %s", code, out)
	}

	c, _, stop = start(t, anyPort(d.dir))
	defer stop()
	d.post(401, c.AuthURL+"/api/v1/auth/verify", "Authorization", "Bearer "+before["access_token"], "{}")
	d.post(401, c.LicenseURL+"/api/v1/license/heartbeat", "Authorization", "Bearer "+before["access_token"], "{}")
	after := d.post(200, c.AuthURL+"/api/v1/auth/refresh", "Accept", "*/*",
		fmt.Sprintf(`{"refresh_token":%q}`, before["refresh_token"]))
	d.post(200, c.LicenseURL+"/api/v1/license/heartbeat", "Authorization", "Bearer "+after["access_token"], "{}")
}

func TestRotateMasterKey(t *testing.T) {
	d := installation{t, t.TempDir()}
	_, _, stop := start(t, anyPort(d.dir))
	stop()
	var made secrets
	if err := credentials.ReadJSON(d.dir+"/"+secretsFile, &made); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LATCHKEY_MASTER_KEY", newSecrets().MasterKey)
	if out, code := d.command("rotate-master-key"); code != 2 || !strings.Contains(out, "LATCHKEY_MASTER_KEY") {
		t.Errorf("without the key before: %d %s", code, out)
	}
	t.Setenv("LATCHKEY_MASTER_KEY_PREVIOUS", made.MasterKey)
	if out, code := d.command("rotate-master-key"); code != 0 ||
		strings.Count(out, "everything is under master key") != 3 {
		t.Errorf("%d %s", code, out)
	}
	if err := os.Unsetenv("LATCHKEY_MASTER_KEY_PREVIOUS"); err != nil {
		t.Fatal(err)
	}
	c, _, stop := start(t, anyPort(d.dir))
	defer stop()
	if status := validate(t, c, "activate"); status != http.StatusCreated {
		t.Errorf("activate with the new master key answers %d", status)
	}
}

// TestRootKeyMovesToANewInstallation: clients that pin the root of the lost installation accept the files of the new
// one.
func TestRootKeyMovesToANewInstallation(t *testing.T) {
	lost, fresh := installation{t, t.TempDir()}, installation{t, t.TempDir()}
	_, _, stop := start(t, anyPort(lost.dir))
	stop()
	private, code := lost.command("export-root-key")
	if code != 0 || !strings.HasPrefix(private, "-----BEGIN PRIVATE KEY-----") {
		t.Fatalf("export: %d %s", code, private)
	}
	file := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, stop = start(t, anyPort(fresh.dir))
	stop()
	for range 2 { // the same key again changes nothing
		if out, code := fresh.command("import-root-key", file); code != 0 {
			t.Fatalf("import: %d %s", code, out)
		}
	}
	if again, code := fresh.command("export-root-key"); code != 0 || again != private {
		t.Errorf("the new installation has another root: %d", code)
	}
	another := installation{t, t.TempDir()}
	_, _, stop = start(t, anyPort(another.dir))
	stop()
	if _, code := another.command("export-root-key"); code != 0 {
		t.Fatal("no root was made")
	}
	if out, code := another.command("import-root-key", file); code == 0 ||
		!strings.Contains(out, "has another root key") {
		t.Errorf("import beside another root: %d %s", code, out)
	}
	if out, code := fresh.command("import-root-key", "/dev/null"); code == 0 ||
		!strings.Contains(out, "not a private key") {
		t.Errorf("import of nothing: %d %s", code, out)
	}
}

func TestDoctor(t *testing.T) {
	d := installation{t, t.TempDir()}
	_, _, stop := start(t, anyPort(d.dir))
	stop()
	out, code := d.command("doctor")
	if code != 0 || strings.Contains(out, "FAIL") || strings.Contains(out, "WARN") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	for _, what := range []string{"disk", "auth database", "license schema", "admin master key", "analytics outbox",
		"analytics client addresses"} {
		if !strings.Contains(out, "ok    "+what+" ") {
			t.Errorf("nothing is said of %s:\n%s", what, out)
		}
	}
}

// TestDoctorOfWhatAStartRefuses: it says what to do here, where no service has a program of its own, and changes
// nothing.
func TestDoctorOfWhatAStartRefuses(t *testing.T) {
	whole := installation{t, t.TempDir()}
	c, _, stop := start(t, anyPort(whole.dir))
	taken := "--license-addr=" + strings.TrimPrefix(c.LicenseURL, "http://")
	neighbor := installation{t, t.TempDir()}
	if out, code := neighbor.command(taken); code != 1 || !strings.Contains(out, "LATCHKEY_LICENSE_ADDR") {
		t.Fatalf("beside another suite: %d %s", code, out)
	}
	if out, code := neighbor.command(taken, "doctor"); code != 1 ||
		!strings.Contains(out, "FAIL  license address") || !strings.Contains(out, "license of another Latchkey") {
		t.Errorf("beside another suite: %d %s", code, out)
	}
	stop()

	begun := whole.copied(secretsFile, "license.db")
	damaged := whole.copied(restored()...)
	if err := os.WriteFile(filepath.Join(damaged.dir, "license.db"), make([]byte, 9*onePage), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := whole.copied(restored()...)
	if err := credentials.WriteJSON(filepath.Join(stranger.dir, secretsFile), newSecrets()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		d           installation
		line, start string
		remedy      string
	}{
		{begun, "FAIL  analytics database", "", "-> start latchkey, which makes it"},
		{damaged, "FAIL  license database", "restore a backup", "is damaged: restore a backup"},
		{stranger, "FAIL  auth master key", "put back the secrets.json", "-> put back the secrets.json"},
	} {
		before := changes(t, tt.d.dir)
		out, code := tt.d.command("doctor")
		if code != 1 || !strings.Contains(out, tt.line) || !strings.Contains(out, tt.remedy) ||
			strings.Contains(out, " migrate'") || strings.Contains(out, "SERVICE_UNAVAILABLE") {
			t.Errorf("doctor: %d %s", code, out)
		}
		if after := changes(t, tt.d.dir); len(after) > len(before)+1 { // the lock
			t.Errorf("doctor makes files: %v, before %v", after, before)
		}
		if tt.start == "" {
			continue
		}
		if out, code := tt.d.command(); code == 0 || !strings.Contains(out, tt.start) {
			t.Errorf("the start: %d %s", code, out)
		}
	}
}

func TestUnknownCommands(t *testing.T) {
	d := installation{t, t.TempDir()}
	for _, args := range [][]string{{"serve"}, {"revoke-signing-key"}, {"revoke-signing-key", "a", "b"},
		{"rotate-signing-key", "a"}} {
		if out, code := d.command(args...); code != 2 || !strings.Contains(out, args[0]) {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &out, io.Discard); err != nil ||
		!strings.Contains(out.String(), "revoke-signing-key KID") {
		t.Errorf("help: %v\n%s", err, out.String())
	}
}

// A command in a directory without data would work on a suite that it makes itself.
func TestCommandsNeedData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "elsewhere")
	var logs bytes.Buffer
	setEnvironment(t, program)
	err := run(t.Context(), []string{"--data-dir", dir, "rotate-signing-key"}, io.Discard, &logs)
	if code := app.Fail(&logs, program, err); code != 2 ||
		!strings.Contains(logs.String(), "has no data that a command could work on") {
		t.Errorf("%d %s", code, logs.String())
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}

// TestVersionNeedsNothing: anyone who reports a fault is asked for it, also where the settings are wrong.
func TestVersionNeedsNothing(t *testing.T) {
	t.Setenv("LATCHKEY_ENV", "nonsense")
	for _, arg := range []string{"version", "--version"} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{arg}, &out, io.Discard); err != nil ||
			out.String() != obs.ReadBuild().Of(program)+"\n" {
			t.Errorf("%s: %q, %v", arg, out.String(), err)
		}
	}
}

// TestUnknownCommandNamesAll: also those that need no data directory, as --help does.
func TestUnknownCommandNamesAll(t *testing.T) {
	err := run(t.Context(), []string{"--data-dir", t.TempDir(), "serve"}, io.Discard, io.Discard)
	for _, name := range append(slices.Collect(maps.Keys(commands)), "import", "version") {
		if err == nil || !strings.Contains(err.Error(), " "+name+",") {
			t.Errorf("%s is missing: %v", name, err)
		}
	}
}
