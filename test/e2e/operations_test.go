//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/test/servers"
)

var services = []string{"auth", "license", "analytics", "admin"}

// dbPassword must never be shown.
var dbPassword = secret.New("")

// settings are the environment of one service of the suite, by name.
func (w *harness) settings(service string) map[string]string {
	w.Helper()
	e := w.environment()
	s := map[string]string{"PATH": os.Getenv("PATH"), "LATCHKEY_ENV": "production",
		"LATCHKEY_ADDR": strings.TrimPrefix(w.URLs(service)[0], "http://")}
	for _, name := range []string{"DATABASE_URL", "AMQP_URL", "INTERNAL_PEERS", "MASTER_KEY", "ADMIN_SECRET",
		"ADMIN_API_KEY"} {
		s["LATCHKEY_"+name] = e[name]
	}
	s["LATCHKEY_INTERNAL_KEY"] = e[strings.ToUpper(service)+"_INTERNAL_KEY"]
	return s
}

// with is the settings with some of them changed; an empty value takes one out.
func with(settings map[string]string, pairs ...string) map[string]string {
	changed := map[string]string{}
	for name, value := range settings {
		changed[name] = value
	}
	for i := 0; i < len(pairs); i += 2 {
		if changed[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
			delete(changed, pairs[i])
		}
	}
	return changed
}

// run runs a program that the suite has built to its end.
func (w *harness) run(settings map[string]string, program string, args ...string) (output string, code int) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "../../bin/"+program, args...)
	for name, value := range settings {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		w.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (w *harness) ran(settings map[string]string, program string, args ...string) string {
	w.Helper()
	out, code := w.run(settings, program, args...)
	if code != 0 {
		w.Fatalf("%s %v: exit code %d\n%s", program, args, code, out)
	}
	return out
}

// TestCommands runs what every binary can do beside serving.
func TestCommands(t *testing.T) {
	w := start(t, processes)
	for _, service := range services {
		settings := w.settings(service)
		if out := w.ran(settings, service, "version"); !strings.HasPrefix(out, service+" ") {
			t.Errorf("version: %s", out)
		}
		w.ran(settings, service, "config", "check")
		w.ran(with(settings, "LATCHKEY_SUITE_MODE", "processes", "LATCHKEY_TEST_X", "y"), service, "config", "check")
		printed := w.ran(with(settings, "LATCHKEY_DATABASE_URL", "postgres://me:"+dbPassword+"@db:5432/x"), service,
			"config", "print")
		for _, hidden := range []string{dbPassword, settings["LATCHKEY_INTERNAL_KEY"], settings["LATCHKEY_MASTER_KEY"],
			settings["LATCHKEY_ADMIN_SECRET"], settings["LATCHKEY_ADMIN_API_KEY"]} {
			if strings.Contains(printed, hidden) {
				t.Errorf("%s config print shows a secret:\n%s", service, printed)
			}
		}
		if !strings.Contains(printed, "internal_key") || !strings.Contains(printed, "LATCHKEY_ADDR") ||
			!strings.Contains(printed, settings["LATCHKEY_ADDR"]) {
			t.Errorf("%s config print:\n%s", service, printed)
		}
		w.ran(settings, service, "healthcheck")
		w.ran(settings, service, "migrate") // again, beside running processes
		ports, err := servers.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		if out, code := w.run(with(settings, "LATCHKEY_ADDR", servers.Address(ports[0])), service,
			"healthcheck"); code == 0 {
			t.Errorf("%s healthcheck of nothing: %s", service, out)
		}
		if out, code := w.run(settings, service, "no-such-command"); code != 2 {
			t.Errorf("%s no-such-command: %d %s", service, code, out)
		}
	}
}

// TestRefusedSettings: a service does not start with settings that are missing, weak or misspelled, and names them.
func TestRefusedSettings(t *testing.T) {
	w := start(t, processes)
	tests := map[string]struct {
		pairs []string
		want  []string
	}{
		"no database": {[]string{"LATCHKEY_DATABASE_URL", ""}, []string{"LATCHKEY_DATABASE_URL"}},
		"no broker":   {[]string{"LATCHKEY_AMQP_URL", ""}, []string{"LATCHKEY_AMQP_URL"}},
		"neither": {[]string{"LATCHKEY_DATABASE_URL", "", "LATCHKEY_AMQP_URL", ""},
			[]string{"LATCHKEY_DATABASE_URL", "LATCHKEY_AMQP_URL"}},
		"no key":    {[]string{"LATCHKEY_INTERNAL_KEY", ""}, []string{"LATCHKEY_INTERNAL_KEY"}},
		"short key": {[]string{"LATCHKEY_INTERNAL_KEY", "short"}, []string{"LATCHKEY_INTERNAL_KEY", "32"}},
		"weak key": {[]string{"LATCHKEY_INTERNAL_KEY", strings.Repeat("A", 43)},
			[]string{"LATCHKEY_INTERNAL_KEY"}},
		"no peers": {[]string{"LATCHKEY_INTERNAL_PEERS", ""}, []string{"LATCHKEY_INTERNAL_PEERS"}},
		"misspelled": {[]string{"LATCHKEY_DATABSE_URL", "x"},
			[]string{"LATCHKEY_DATABSE_URL", "did you mean LATCHKEY_DATABASE_URL"}},
		"unknown":        {[]string{"LATCHKEY_WHATEVER", "x"}, []string{"LATCHKEY_WHATEVER"}},
		"no address":     {[]string{"LATCHKEY_ADDR", "nowhere"}, []string{"LATCHKEY_ADDR"}},
		"no environment": {[]string{"LATCHKEY_ENV", "prod"}, []string{"LATCHKEY_ENV", "production"}},
		"another engine": {[]string{"LATCHKEY_DATABASE_URL", "mysql://me:" + dbPassword + "@db/x"},
			[]string{"LATCHKEY_DATABASE_URL"}},
		"no URL at all": {[]string{"LATCHKEY_DATABASE_URL", "nonsense"}, []string{"LATCHKEY_DATABASE_URL"}},
		"another broker": {[]string{"LATCHKEY_AMQP_URL", "kafka://me:" + dbPassword + "@mq/"},
			[]string{"LATCHKEY_AMQP_URL"}},
		"missing file": {[]string{"LATCHKEY_INTERNAL_KEY", "", "LATCHKEY_INTERNAL_KEY_FILE", "/nowhere"},
			[]string{"LATCHKEY_INTERNAL_KEY_FILE"}},
		"bad proxies":     {[]string{"LATCHKEY_TRUSTED_PROXIES", "everyone"}, []string{"LATCHKEY_TRUSTED_PROXIES"}},
		"bad peer":        {[]string{"LATCHKEY_AUTH_URL", "auth:5101"}, []string{"LATCHKEY_AUTH_URL"}},
		"endless waiting": {[]string{"LATCHKEY_START_TIMEOUT", "-1s"}, []string{"LATCHKEY_START_TIMEOUT"}},
	}
	// The admin key may be missing: once there are others it is not needed.
	own := map[string][]string{"auth": {"ADMIN_SECRET", "MASTER_KEY"}, "license": {"MASTER_KEY"},
		"admin": {"ADMIN_API_KEY"}}
	for _, service := range services {
		for name, tt := range tests {
			w.refuses(service, name, with(w.settings(service), tt.pairs...), tt.want)
		}
		for _, setting := range own[service] {
			for _, value := range []string{"short", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="} {
				w.refuses(service, setting+" "+value, with(w.settings(service), "LATCHKEY_"+setting, value),
					[]string{"LATCHKEY_" + setting})
			}
		}
	}
}

func (w *harness) refuses(service, what string, settings map[string]string, want []string) {
	w.Helper()
	out, code := w.run(settings, service, "serve")
	if code != 2 || strings.Contains(out, dbPassword) {
		w.Errorf("%s, %s: exit code %d\n%s", service, what, code, out)
	}
	for _, part := range want {
		if !strings.Contains(out, part) {
			w.Errorf("%s, %s: does not name %s:\n%s", service, what, part, out)
		}
	}
}

// TestSecondProcessOnTheSameData is refused, on whatever ports.
func TestSecondProcessOnTheSameData(t *testing.T) {
	w := start(t, embedded)
	ports, err := servers.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{"PATH": os.Getenv("PATH")}
	for i, service := range services {
		settings["LATCHKEY_"+strings.ToUpper(service)+"_ADDR"] = servers.Address(ports[i])
	}
	data := filepath.Join(w.Dir, "latchkey-data")
	out, code := w.run(settings, "latchkey", "--data-dir", data)
	if code == 0 || !strings.Contains(out, "another Latchkey process") || !strings.Contains(out, data) ||
		!strings.Contains(out, "--data-dir") {
		t.Errorf("exit code %d: %s", code, out)
	}
	w.want(w.license("validate", device(w.LicenseKey, "x")), http.StatusOK, "")
}

// TestDeadLetters: what nobody can read is kept, shown, and survives being replayed; the events around it arrive.
func TestDeadLetters(t *testing.T) {
	w := start(t, processes)
	settings := w.settings("analytics")
	// without the headings
	letters := func() int { return strings.Count(w.ran(settings, "analytics", "dead-letters", "list"), "\n") - 1 }
	before := letters()
	channel := w.channel()
	for _, body := range []string{`not JSON`, `{"specversion":"1.0"}`, `[]`} {
		// Caches, which listen to the second exchange, must bear it too.
		for _, exchange := range []string{"latchkey.events", "latchkey.invalidations"} {
			err := channel.PublishWithContext(t.Context(), exchange, "license.activated", true, false, amqp.Publishing{
				ContentType: "application/cloudevents+json", DeliveryMode: amqp.Persistent, MessageId: "poison",
				Body: []byte(body),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	kept := func() {
		w.eventually(func() error {
			if n := letters() - before; n != 3 {
				return fmt.Errorf("%d dead letters, want 3", n)
			}
			return nil
		})
	}
	kept()
	if out := w.ran(settings, "analytics", "dead-letters", "replay"); !strings.Contains(out, fmt.Sprint(before+3)) {
		t.Errorf("replay: %s", out)
	}
	kept()
	w.works()
}

// TestRepublish: sending the event log again changes no figure, and rebuilds those of a lost schema.
func TestRepublish(t *testing.T) {
	w := start(t, processes)
	since := time.Now().UTC().Format(time.RFC3339) // what other tests did is much
	id, key := w.create(`{"customer_id":"republish","max_devices":10}`)
	for i := range 5 {
		w.want(w.license("activate", device(key, fmt.Sprintf("pc-%d", i))), http.StatusCreated, "")
	}
	w.want(w.license("deactivate", device(key, "pc-0")), http.StatusOK, "")
	w.usage(id, "activations", 5)
	w.usage(id, "deactivations", 1)
	figures := func() string { // of the days of use, which midnight does not change
		a := w.want(w.admin(http.MethodGet, "/licenses/"+id+"/usage?days=3", ""), http.StatusOK, "")
		used := slices.DeleteFunc(a.body["daily"].([]any), func(day any) bool {
			return day.(map[string]any)["activations"] == 0.0
		})
		return fmt.Sprint(a.body["totals"], used)
	}
	before := figures()
	for range 2 {
		if out := w.ran(w.settings("license"), "license", "republish", "--since",
			since); !strings.Contains(out, "events published again") {
			t.Errorf("republish: %s", out)
		}
	}
	w.works() // what is published now comes after what was published again
	if after := figures(); after != before {
		t.Errorf("republishing changed the figures from %s to %s", before, after)
	}

	for _, p := range w.replicas("analytics") {
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	w.sql("DROP SCHEMA analytics CASCADE")
	for _, p := range w.replicas("analytics") {
		w.restart(p.Name)
	}
	w.want(w.analytics(http.MethodGet, "/licenses/"+id+"/risk-score"), http.StatusNotFound, "LICENSE_NOT_FOUND")
	w.ran(w.settings("license"), "license", "republish", "--since", since)
	w.usage(id, "activations", 5)
	w.usage(id, "deactivations", 1)
	if after := figures(); after != before {
		t.Errorf("rebuilding changed the figures from %s to %s", before, after)
	}
	for _, args := range [][]string{{"republish", "--since", "yesterday"}, {"republish"}} {
		if out, code := w.run(w.settings("license"), "license", args...); code != 2 ||
			!strings.Contains(out, "2026-01-31") {
			t.Errorf("%v: exit code %d, want 2 and the form of a date: %s", args, code, out)
		}
	}
}

func (w *harness) sql(statement string) {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.Postgres.URL)
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close(w.Context())
	if _, err := conn.Exec(w.Context(), statement); err != nil {
		w.Fatal(err)
	}
}
