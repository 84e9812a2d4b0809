//go:build unix

package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestErasure: what tells of an erased customer, and of the persons on its licenses, is in no database any more.
func TestErasure(t *testing.T) {
	each(t, func(w *harness) {
		p := w.plant()
		usage := w.totals(p.id)
		p.erase()
		w.eventually(p.gone)
		if diff := cmp.Diff(usage, w.totals(p.id)); diff != "" {
			w.Errorf("the figures changed: %s", diff)
		}
		p.worksOn() // what it does is counted, too
	})
}

// TestErasureWhileAnalyticsIsAway: it obeys when it is back, in what it had and in what was waiting for it.
func TestErasureWhileAnalyticsIsAway(t *testing.T) {
	w := start(t, processes)
	p := w.plant()
	back := w.killAll("analytics")
	defer back()
	p.validate()
	p.erase()
	back()
	w.usage(p.id, "validations", 2)
	w.eventually(p.gone)
}

// planted is a customer of whom every service keeps something.
type planted struct {
	*harness
	// id and key are of a license with one device, userLicense is one that a user uses.
	id, key, userLicense string
	customer             string
	// mark is part of every text that must go. network is that of the address which calls came from.
	mark, network string
}

// plant makes a customer and has everything about it stored.
func (w *harness) plant() *planted {
	w.Helper()
	mark := strings.ToLower(rand.Text()[:8])
	p := &planted{harness: w, mark: mark, customer: "id-" + mark + "/@example.com"}
	p.network = fmt.Sprintf("2001:db8:%x:%x", 0x1000+int(mark[0])<<4, 0x1000+int(mark[1])<<4+int(mark[2]))
	p.profile()
	p.device()
	p.users()
	w.eventually(p.everywhere)
	w.usage(p.id, "validations", 1)
	return p
}

// everywhere fails unless every service keeps what it is sent.
func (p *planted) everywhere() error {
	found := p.stored(p.values())
	for _, value := range p.values() {
		if len(found[value]) == 0 {
			return fmt.Errorf("%s is not stored", value)
		}
	}
	for value, tables := range map[string][]string{
		p.customer: {"license.outbox", "analytics.events", "admin.audit_entries"},
		p.network:  {"license.outbox", "auth.outbox", "analytics.events"},
	} {
		for _, table := range tables {
			if !slices.Contains(found[value], table) {
				return fmt.Errorf("%s is in %v alone", value, found[value])
			}
		}
	}
	return nil
}

// values are the texts that are planted.
func (p *planted) values() []string {
	values := []string{p.customer, p.network}
	for _, kind := range []string{
		"name", "mail", "company", "phone", "city", "metadata", "device", "label", "variable", "session", "data",
		"reason", "enrollment", "user", "person", "former", "deleted",
	} {
		values = append(values, p.text(kind))
	}
	return values
}

func (p *planted) text(kind string) string { return kind + "-" + p.mark }

// filled is a template whose words between angle brackets are replaced by what is planted.
func (p *planted) filled(template string) string {
	for rest := template; ; {
		_, after, found := strings.Cut(rest, "<")
		if !found {
			return template
		}
		kind, next, _ := strings.Cut(after, ">")
		template, rest = strings.ReplaceAll(template, "<"+kind+">", p.text(kind)), next
	}
}

// manages makes a call of an administrator that must succeed.
func (p *planted) manages(method, path, body string) answer {
	p.Helper()
	a := p.admin(method, path, p.filled(body))
	if a.status >= 300 {
		p.Fatalf("%s %s: %d %s", method, path, a.status, a.raw)
	}
	return a
}

// client makes a call from the planted network.
func (p *planted) client(url, body string, headers ...string) answer {
	p.Helper()
	headers = append([]string{"X-API-Key", p.APIKey, "X-Forwarded-For", p.network + "::1"}, headers...)
	return p.call(http.MethodPost, url, p.filled(body), headers...)
}

func (p *planted) licenseCall(endpoint, body string, headers ...string) answer {
	p.Helper()
	return p.client(p.LicenseURL+"/api/v1/license/"+endpoint, body, headers...)
}

func (p *planted) profile() {
	p.Helper()
	p.id, p.key = p.create(fmt.Sprintf(`{"customer_id":%q,"max_devices":1,"metadata":{"a":%q}}`, p.customer,
		p.text("metadata")))
	p.manages(http.MethodPut, "/customers/"+url.PathEscape(p.customer), `{"name":"<name>","email":"<mail>@example.com",
		"company":"<company>","phone":"<phone>","address":{"city":"<city>"},"metadata":{"b":"<metadata>"}}`)
	p.manages(http.MethodPatch, "/licenses/"+p.id, `{"metadata":{"a":["<metadata>"]}}`)
	p.manages(http.MethodPost, "/licenses/"+p.id+"/enrollment-keys", `{"label":"<enrollment>","max_devices":1}`)
}

// device uses the license, in vain, too.
func (p *planted) device() {
	p.Helper()
	p.want(p.licenseCall("activate", fmt.Sprintf(`{"license_key":%q,"hardware_id":"pc","device_name":"<device>",
		"session_id":"<session>","variables":{"v":"<variable>"}}`, p.key)), http.StatusCreated, "")
	devices := p.manages(http.MethodGet, "/licenses/"+p.id+"/devices", "").body["devices"].([]any)
	deviceID := devices[0].(map[string]any)["device_id"].(string)
	p.manages(http.MethodPatch, "/licenses/"+p.id+"/devices/"+deviceID, `{"label":"<label>"}`)
	p.validate()
	p.want(p.licenseCall("activate", device(p.key, "one too many")), http.StatusForbidden, "")
	p.tokens()
	p.manages(http.MethodPost, "/licenses/"+p.id+"/suspend", `{"reason":"<reason>"}`)
	p.want(p.licenseCall("activate", device(p.key, "while suspended")), http.StatusForbidden, "")
	p.manages(http.MethodPost, "/licenses/"+p.id+"/reinstate", "")
}

// validate asks until every replica has heard of the state that the license has.
func (p *planted) validate() {
	p.Helper()
	p.eventually(func() error {
		if a := p.licenseCall("validate", device(p.key, "pc")); a.status != http.StatusOK {
			return fmt.Errorf("validate: %d %s", a.status, a.raw)
		}
		return nil
	})
}

// tokens sends a heartbeat, and then a refresh token that was used already, of which auth itself tells.
func (p *planted) tokens() {
	p.Helper()
	access, refresh := p.pair(p.id, "pc")
	p.want(p.licenseCall("heartbeat", `{"session_data":{"d":"<data>"}}`, "Authorization", "Bearer "+access),
		http.StatusOK, "")
	url, body := p.AuthURL+"/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, refresh)
	next := p.want(p.client(url, body), http.StatusOK, "")
	p.want(p.call(http.MethodPost, p.AuthURL+"/api/v1/auth/verify", "", "Authorization",
		"Bearer "+next.text("access_token")), http.StatusOK, "")
	p.want(p.client(url, body), http.StatusUnauthorized, "INVALID_TOKEN")
}

// users makes one who uses a license and one who is deleted.
func (p *planted) users() {
	p.Helper()
	product := "studio-" + strings.ToLower(rand.Text()[:8])
	p.manages(http.MethodPost, "/products", fmt.Sprintf(`{"code":%q,"authorization_method":"user"}`, product))
	p.userLicense, _ = p.create(fmt.Sprintf(`{"customer_id":%q,"product":%q}`, p.customer, product))
	user := func(name string) string {
		body := fmt.Sprintf(`{"product":%q,"customer_id":%q,"email":"%s@example.com","name":"<former>",
			"initial_password":"correct horse"}`, product, p.customer, p.text(name))
		return p.manages(http.MethodPost, "/users", body).text("user_id")
	}
	id := user("user")
	p.manages(http.MethodPatch, "/users/"+id, `{"name":"<person>"}`)
	p.manages(http.MethodPut, "/licenses/"+p.userLicense+"/users/"+id, "")
	session := p.want(p.licenseCall("users/sign-in", fmt.Sprintf(
		`{"product":%q,"email":"<user>@example.com","password":"correct horse"}`, product)), http.StatusOK, "")
	p.want(p.licenseCall("activate", fmt.Sprintf(`{"user_token":%q,"hardware_id":"laptop"}`,
		session.text("user_token"))), http.StatusCreated, "")
	p.manages(http.MethodDelete, "/users/"+user("deleted"), "")
}

func (p *planted) erase() {
	p.Helper()
	erased := p.manages(http.MethodPost, "/customers/"+url.PathEscape(p.customer)+"/erase", "")
	if id := erased.text("customer_id"); !strings.HasPrefix(id, "erased-") {
		p.Fatalf("%s", erased.raw)
	}
}

// worksOn demands that the license stays what it was.
func (p *planted) worksOn() {
	p.Helper()
	p.want(p.license("deactivate", device(p.key, "pc")), http.StatusOK, "")
	if active, counter := p.devices(p.userLicense); active != 1 || counter != 1 {
		p.Errorf("the user's license has %d devices and counts %d", active, counter)
	}
}

// gone fails with the tables that tell of the customer still.
func (p *planted) gone() error {
	if found := p.stored(p.values()); len(found) > 0 {
		return fmt.Errorf("%v", found)
	}
	return nil
}

// totals are the figures of a license.
func (w *harness) totals(licenseID string) any {
	w.Helper()
	a := w.want(w.admin(http.MethodGet, "/licenses/"+licenseID+"/usage?days=2", ""), http.StatusOK, "")
	return a.body["totals"]
}

// stored are the tables of all services in which texts stand, by text. Each table is read once: by the other tests they
// have grown.
func (w *harness) stored(texts []string) map[string][]string {
	w.Helper()
	found := map[string][]string{}
	w.everyRow(func(table string, row [][]byte) { note(found, table, row, texts) })
	return found
}

// note adds a table to those in which the texts stand that one of its rows has, in letters of any case.
func note(found map[string][]string, table string, row [][]byte, texts []string) {
	lower := bytes.ToLower(bytes.Join(row, []byte("\n")))
	for _, text := range texts {
		if bytes.Contains(lower, []byte(text)) && !slices.Contains(found[text], table) {
			found[text] = append(found[text], table)
		}
	}
}
