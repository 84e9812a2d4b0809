//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestLicenseSpringClients has clients that know the documentation of the protocol alone go the whole way, at all
// replicas in turn.
func TestLicenseSpringClients(t *testing.T) {
	each(t, func(w *harness) {
		given := w.licenseSpring()
		for program, cmd := range map[string]*exec.Cmd{
			"licensespring_client.py": exec.Command(interpreter(w.T, "-c", "import urllib.request", "python3",
				"/usr/bin/python3"), append([]string{"testdata/licensespring_client.py"}, w.URLs("license")...)...),
			"licensespring_client.js": exec.Command(interpreter(w.T, "-e", "fetch", "node"),
				"testdata/licensespring_client.js", w.URLs("license")[0]),
			"licensespring_client.sh": exec.Command("testdata/licensespring_client.sh", w.URLs("license")...),
		} {
			cmd.Stdin = strings.NewReader(given)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "all is well") {
				w.Errorf("%s: %v: %s", program, err, out)
			}
		}
	})
}

// licenseSpring makes what the clients work with, as JSON.
func (w *harness) licenseSpring() string {
	w.Helper()
	for _, product := range []string{`{"code":"desktop"}`, `{"code":"viewer"}`,
		`{"code":"office","bundle":["desktop","viewer"]}`} {
		w.want(w.admin(http.MethodPost, "/products", product), http.StatusCreated, "")
	}
	w.want(w.admin(http.MethodPost, "/policies",
		`{"code":"desktop-trial","product":"desktop","is_trial":true,"duration_days":14}`), http.StatusCreated, "")
	given := w.want(w.admin(http.MethodPost, "/integrations/licensespring",
		`{"name":"Desktop","rate_limit":{"per_minute":0,"per_hour":0}}`), http.StatusCreated, "").body
	for name, license := range map[string]string{
		"license_key": `"product":"desktop","max_devices":5,"counters":[{"name":"consumptions","limit":10}]`,
		"shell_key":   `"product":"desktop","max_devices":1,"counters":[{"name":"consumptions","limit":10}]`,
		"offline_key": `"product":"desktop"`, "node_key": `"product":"desktop","expires_at":"2099-01-31T00:00:00Z",` +
			`"metadata":{"b":1.0,"2":"two","1":"one","t":"<&>"}`,
		"floating_key": `"product":"desktop","max_devices":2,"floating":{"slots":1,"borrow_max_hours":24}`,
		"bundle_key":   `"product":"office"`,
	} {
		_, given[name] = w.create(`{"customer_id":"springs",` + license + `}`)
	}
	given["product"], given["bundle"], given["bundled"] = "desktop", "office", []string{"desktop", "viewer"}
	given["seats"], given["consumptions"] = 5, 10
	text, err := json.Marshal(given)
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

// TestBadInputOfLicenseSpring sends every operation of the dialect what it must refuse: the error that its clients
// expect, never a 5xx, and nothing is written.
func TestBadInputOfLicenseSpring(t *testing.T) {
	each(t, func(w *harness) {
		made := w.want(w.admin(http.MethodPost, "/integrations/licensespring",
			`{"name":"attacked","server_side":true,"rate_limit":{"per_minute":0,"per_hour":0}}`), http.StatusCreated,
			"")
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {made.text("client_id")},
			"client_secret": {made.text("client_secret")}}.Encode()
		var token answer
		w.eventually(func() (err error) { // a replica that did not make the keys hears of them from the bus
			token, err = try(http.MethodPost, w.LicenseURL+"/api/v4/oauth/token", form)
			if err == nil && token.status != http.StatusOK {
				err = fmt.Errorf("%d %s", token.status, token.raw)
			}
			return err
		})
		b := newAttacker(w)
		named := map[string]string{"product": "default", "hardware_id": "device-123", "license_key": b.key}
		before := b.state()
		for _, op := range b.dialect("licensespring") {
			w.Run(op.OperationID, func(t *testing.T) {
				a := springAttacker{b.as(t), op, "Bearer " + token.text("access_token"), named}
				a.methods(op)
				a.bodiesOfDialect()
				a.queriesOfDialect()
			})
		}
		if after := b.state(); after != before {
			w.Errorf("refused requests left traces:\nbefore %s\nafter  %s", before, after)
		}
	})
}

// springAttacker attacks one operation of the dialect; named is what names the victim.
type springAttacker struct {
	*attacker
	op            operation
	authorization string
	named         map[string]string
}

// noInput are values that no member takes.
var noInput = []string{`"a\u0000"`, `"\ud800"`, "\"\xff\"", `1e400`, `01`, `NaN`,
	`"` + strings.Repeat("x", 70_000) + `"`, strings.Repeat("[", 40) + strings.Repeat("]", 40), `{"":{}}`, `[[]]`}

func (a springAttacker) bodiesOfDialect() {
	if a.op.RequestBody == nil {
		return
	}
	for _, body := range []string{
		"", " ", `{"a":`, `[]`, `null`, `7`, `"x"`, `{}{}`, "\x00", "{\"\xff\":1}", "\xff\xfe{\x00}\x00",
		strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), "e30=", strings.Repeat("A", 200_000),
	} {
		a.refuses("body "+body, a.op.url+a.op.path, body)
	}
	if a.op.RequestBody.Value.Content.Get("application/json") == nil {
		return // a form, or a file
	}
	for name := range members(a.op) {
		for _, value := range noInput {
			all := ""
			for member, text := range a.named {
				if member != name {
					all += fmt.Sprintf("%q:%q,", member, text)
				}
			}
			a.refuses(name+" "+value, a.op.url+a.op.path, "{"+all+fmt.Sprintf("%q:%s}", name, value))
		}
	}
}

func (a springAttacker) queriesOfDialect() {
	for _, p := range a.op.Parameters {
		if p.Value.In != "query" {
			continue
		}
		values := []string{"a\x00", "\xff", strings.Repeat("x", 5000)}
		if p.Value.Schema.Value.Type.Includes("boolean") {
			values = append(values, "maybe", "2")
		}
		for _, value := range values {
			q := url.Values{p.Value.Name: {value}}
			for member, text := range a.named {
				if member != p.Value.Name {
					q.Set(member, text)
				}
			}
			a.refuses(p.Value.Name+" "+value, a.op.url+a.op.path+"?"+q.Encode(), "")
		}
		a.refuses("broken query", a.op.url+a.op.path+"?"+p.Value.Name+"=%zz", "")
	}
}

// refuses makes a call that must be refused as the clients expect it.
func (a springAttacker) refuses(what, url, body string) {
	a.Helper()
	got := a.call(a.op.method, url, body, "Authorization", a.authorization)
	if len(got.body) == 5 && got.text("error") == got.text("code") { // as OAuth has it, too
		delete(got.body, "error")
		delete(got.body, "error_description")
	}
	if got.status < 400 || got.status >= 500 || !got.isOfDialect() || got.status == http.StatusNotFound ||
		!strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		a.Errorf("%.60q: %d %.300s", what, got.status, got.raw)
	}
}

// dialect are the operations of the license service that have a tag.
func (b *attacker) dialect(tag string) []operation {
	b.Helper()
	return slices.DeleteFunc(b.all(), func(op operation) bool { return !slices.Contains(op.Tags, tag) })
}
