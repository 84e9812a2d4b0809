//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// TestEveryRotationUnderLoad walks the sequences of docs/operations.md, with two replicas of auth, license and admin:
// no call fails, and no verdict is another one than it would be otherwise, whatever was restarted with the settings
// of the next step already.
func TestEveryRotationUnderLoad(t *testing.T) {
	w := alone(t, processes)
	r := w.behindGateway()
	id, key := w.create(`{"customer_id":"rotations","max_devices":1000000}`)
	apiKeyID, apiKey := w.apiKey(`{"client_name":"rotations","allowed_endpoints":["*"],"rate_limit":{"per_minute":0,` +
		`"per_hour":0}}`)
	r.asClient.use("X-API-Key", apiKey)
	stop := r.load(3, append(r.journeys(id, key), r.protected))

	r.rotateAPIKey(apiKeyID)
	r.rotateSigningKey()
	n := r.newSecrets()
	r.restartAll(n.accepted)
	r.asVendor.use("X-Admin-Secret", n.Admin)
	r.restartAll(n.used)
	r.moveRows(n)
	r.restartAll(n.alone)

	if n := stop(); n == 0 {
		t.Error("there was no load")
	} else {
		t.Logf("%d calls and chains of calls answered", n)
	}
	r.nothingOldOpens(apiKey)
	w.Secrets, w.AdminSecret, w.AdminAPIKey = n.Secrets, n.Admin, n.ownerKey
	w.works()
}

// protected is what depends on keys that are rotated: calls between services, kept answers, stored license keys,
// tokens.
func (r *roundRobin) protected(pc string) error {
	c := chain{roundRobin: r}
	owner := r.asOwner.header() // an Idempotency-Key belongs to one admin key
	once := append(slices.Clone(owner), "Idempotency-Key", secret.New(""))
	create := func() answer {
		return c.ask(201, "admin", http.MethodPost, "/api/v1/admin/licenses", `{"customer_id":"protected"}`, once...)
	}
	made, again := create(), create()
	id, key := made.text("license_id"), made.text("license_key")
	shown := c.ask(200, "admin", http.MethodPost, "/api/v1/admin/licenses/"+id+"/reveal-key", "", owner...)
	if c.err == nil && (again.text("license_key") != key || shown.text("license_key") != key) {
		c.err = fmt.Errorf("a license was made with %s, then the answer was %s and its key %s",
			made.raw, again.raw, shown.raw)
	}
	c.asks(201, "/api/v1/license/activate", device(key, pc))
	c.asks(404, "/api/v1/license/validate", device("LIC-0000-0000-0000-0000", pc))
	c.asks(401, "/api/v1/license/validate", device(key, pc), "X-API-Key", secret.New("sk_"))
	c.ask(200, "auth", http.MethodGet, "/api/v1/auth/api-keys", "", r.asVendor.header()...)

	pair := c.ask(200, "auth", http.MethodPost, "/api/v1/auth/token",
		fmt.Sprintf(`{"license_id":%q,"hardware_id":%q}`, id, pc), r.asClient.header()...)
	for range 2 {
		bearer := []string{"Authorization", "Bearer " + pair.text("access_token")}
		c.ask(200, "auth", http.MethodPost, "/api/v1/auth/verify", "", bearer...)
		c.ask(200, "license", http.MethodPost, "/api/v1/license/heartbeat", "{}", bearer...)
		offline := c.ask(201, "license", http.MethodPost, "/api/v1/license/offline-token", "{}", bearer...)
		c.ask(200, "license", http.MethodPost, "/api/v1/license/validate-offline",
			fmt.Sprintf(`{"token":%q}`, offline.text("token")))
		pair = c.ask(200, "auth", http.MethodPost, "/api/v1/auth/refresh",
			fmt.Sprintf(`{"refresh_token":%q}`, pair.text("refresh_token")))
	}
	return c.err
}

// rotateAPIKey has the clients use the new secret within the grace of the old one.
func (r *roundRobin) rotateAPIKey(id string) {
	r.Helper()
	url := r.AuthURL + "/api/v1/auth/api-keys/" + id + "/rotate"
	rotated := r.call(http.MethodPost, url, `{"grace_seconds":20}`, "X-Admin-Secret", r.AdminSecret)
	r.asClient.use("X-API-Key", r.want(rotated, 200, "").text("api_key"))
}

// rotateSigningKey makes the announced key sign as soon as all have it, which otherwise is ten minutes later: with
// the restarts that follow, replicas that sign with it stand beside others that do not yet.
func (r *roundRobin) rotateSigningKey() {
	r.Helper()
	out := r.ran(r.settings("auth"), "auth", "rotate-signing-key")
	said := regexp.MustCompile("key ([0-9a-f]+) is published").FindStringSubmatch(out)
	if said == nil {
		r.Fatalf("rotate-signing-key: %s", out)
	}
	for _, url := range r.URLs("auth") {
		r.eventually(func() error { return publishes(url, said[1]) })
	}
	r.sql("UPDATE auth.signing_keys SET signs_from = now() WHERE id = '" + said[1] + "'")
}

func publishes(url, kid string) error {
	kids, err := published(url)
	if err == nil && !slices.Contains(kids, kid) {
		err = fmt.Errorf("%s publishes %v, not %s", url, kids, kid)
	}
	return err
}

// published are the names of the keys that a replica of auth publishes.
func published(url string) (kids []string, err error) {
	a, err := try(http.MethodGet, url+"/.well-known/jwks.json", "")
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct{ Kid string }
	}
	err = json.Unmarshal(a.raw, &set)
	for _, k := range set.Keys {
		kids = append(kids, k.Kid)
	}
	return kids, err
}

// replacement is the secrets of a suite that take the place of others, step by step.
type replacement struct {
	suite.Secrets
	old      suite.Secrets
	ownerKey string
}

// newSecrets makes all of them. The owners' new admin key is in use at once.
func (r *roundRobin) newSecrets() *replacement {
	r.Helper()
	n := &replacement{old: r.Secrets, Secrets: suite.NewSecrets()}
	n.ownerKey = r.want(r.admin(http.MethodPost, "/keys", `{"name":"successor","role":"owner"}`), 201, "").
		text("admin_api_key")
	r.asOwner.use("X-Admin-API-Key", n.ownerKey)
	return n
}

// accepted are the settings of the first step: what is new is taken, and what was there used.
func (n *replacement) accepted(service string) []string {
	settings := []string{"LATCHKEY_INTERNAL_PEERS=" + n.old.Peers + "," + n.Peers}
	if service != "analytics" {
		settings = append(settings, "LATCHKEY_MASTER_KEY_NEXT="+n.Master)
	}
	if service == "auth" {
		settings = append(settings, "LATCHKEY_ADMIN_SECRET="+n.Admin, "LATCHKEY_ADMIN_SECRET_PREVIOUS="+n.old.Admin)
	}
	return settings
}

// used are the settings of the second step: what is new is used, and what was there taken.
func (n *replacement) used(service string) []string {
	settings := []string{"LATCHKEY_INTERNAL_KEY=" + rpc.FormatKey(n.Identities[service].Key)}
	if service != "analytics" {
		settings = append(settings, "LATCHKEY_MASTER_KEY="+n.Master, "LATCHKEY_MASTER_KEY_PREVIOUS="+n.old.Master,
			"LATCHKEY_MASTER_KEY_NEXT=")
	}
	if service == "admin" {
		settings = append(settings, "LATCHKEY_ADMIN_API_KEY="+n.ownerKey)
	}
	return settings
}

// alone are the settings of the last step: what was there is gone.
func (n *replacement) alone(string) []string {
	return []string{"LATCHKEY_INTERNAL_PEERS=" + n.Peers, "LATCHKEY_MASTER_KEY_PREVIOUS=",
		"LATCHKEY_ADMIN_SECRET_PREVIOUS="}
}

// restartAll restarts all processes with other settings, one after the other in random order.
func (r *roundRobin) restartAll(settings func(service string) []string) {
	r.Helper()
	for _, i := range rand.Perm(len(r.Processes)) {
		p := r.Processes[i]
		p.Set(settings(p.Service())...)
		r.restart(p.Name)
	}
}

// moveRows has each service move what is under the old master key, with the settings of its processes.
func (r *roundRobin) moveRows(n *replacement) {
	r.Helper()
	for _, service := range []string{"auth", "license", "admin"} {
		settings := with(r.settings(service), "LATCHKEY_MASTER_KEY", n.Master, "LATCHKEY_MASTER_KEY_PREVIOUS",
			n.old.Master, "LATCHKEY_INTERNAL_KEY", rpc.FormatKey(n.Identities[service].Key), "LATCHKEY_INTERNAL_PEERS",
			n.Peers)
		if out := r.ran(settings, service, "rotate-master-key"); !strings.Contains(
			out, "everything is under master key") {
			r.Errorf("%s rotate-master-key: %s", service, out)
		}
	}
}

// nothingOldOpens demands that the credentials from before the rotations are refused at every replica.
func (r *roundRobin) nothingOldOpens(apiKey string) {
	r.Helper()
	refused := func(service, method, path, name, value string) {
		for _, url := range r.URLs(service) {
			r.eventually(func() error { // as long as the grace of the old API key
				a, err := try(method, url+path, "{}", name, value)
				if err == nil && a.status != 401 {
					err = fmt.Errorf("previous %s opens %s%s: %d", name, url, path, a.status)
				}
				return err
			})
		}
	}
	refused("license", http.MethodPost, "/api/v1/license/validate", "X-API-Key", apiKey)
	refused("auth", http.MethodGet, "/api/v1/auth/api-keys", "X-Admin-Secret", r.AdminSecret)
	refused("admin", http.MethodGet, "/api/v1/admin/statistics", "X-Admin-API-Key", r.AdminAPIKey)
}

// TestRevokedSigningKey withdraws the key that signs: within a second no process takes a token of it, and all take
// those of its successor.
func TestRevokedSigningKey(t *testing.T) {
	w := start(t, processes)
	id, key := w.create(`{"customer_id":"revoked","max_devices":2}`)
	w.want(w.license("activate", device(key, "pc")), 201, "")
	access, refresh, offline := w.threeTokens(id, "pc")
	all := func(access, offline string) {
		t.Helper()
		for _, url := range w.URLs("auth") {
			w.want(w.call(http.MethodPost, url+"/api/v1/auth/verify", "", "Authorization", "Bearer "+access), 200, "")
		}
		for _, url := range w.URLs("license") {
			w.want(w.call(http.MethodPost, url+"/api/v1/license/heartbeat", "{}", "Authorization", "Bearer "+access),
				200, "")
			w.want(w.call(http.MethodPost, url+"/api/v1/license/validate-offline",
				fmt.Sprintf(`{"token":%q}`, offline)), 200, "")
		}
	}
	all(access, offline)
	var header struct{ Kid string }
	(&forge{harness: w}).decode(access, 0, &header)
	revoke := func(kid string) (string, int) { return w.run(w.settings("auth"), "auth", "revoke-signing-key", kid) }
	if out, code := revoke("0123456789abcdef"); code != 2 || !strings.Contains(out, header.Kid+"  signs") {
		t.Errorf("an unknown key: exit code %d\n%s", code, out)
	}
	out, code := revoke(header.Kid)
	if code != 0 || !strings.Contains(out, header.Kid+" is revoked") || !strings.Contains(out, "signs at once") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	w.refuseAll(access, "rt_none", offline)
	for _, url := range w.URLs("auth") {
		if kids, err := published(url); err != nil || slices.Contains(kids, header.Kid) {
			t.Errorf("%s publishes %v: %v", url, kids, err)
		}
	}
	next := w.want(w.refresh(refresh), 200, "")
	access = next.text("access_token")
	issued := w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/offline-token", "{}", "Authorization",
		"Bearer "+access)
	all(access, w.want(issued, 201, "").text("token"))
	if out, code := revoke(header.Kid); code != 0 || !strings.Contains(out, "already; nothing was changed") {
		t.Errorf("again: exit code %d\n%s", code, out)
	}
	w.eventually(func() error {
		if a := w.admin(http.MethodGet, "/audit?action=signing_key.revoke",
			""); !strings.Contains(string(a.raw), header.Kid) {
			return fmt.Errorf("no audit entry: %s", a.raw)
		}
		return nil
	})
}
