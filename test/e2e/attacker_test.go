//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/proto/openapi"
)

// operation is one operation of a document, at a running service.
type operation struct {
	*openapi3.Operation
	method, path, url string
	item              *openapi3.PathItem
	// header carries the credential, with prefix before it; empty: the operation needs none.
	header, prefix string
}

// attacker knows a license with a device, and everything that could change when a refusal is none.
type attacker struct {
	*harness
	victim, key string
	// credential by header.
	good map[string]string
	// others are credentials of every kind, good ones.
	others map[string]string
}

func newAttacker(w *harness) *attacker {
	w.Helper()
	b := &attacker{harness: w}
	b.victim, b.key = w.create(`{"customer_id":"victim","max_devices":3}`)
	w.want(w.license("activate", device(b.key, "device-123")), http.StatusCreated, "")
	// The policy that the documents' examples name; another test may have made it.
	w.admin(http.MethodPost, "/policies", `{"code":"pro-yearly","duration_months":12}`)
	pair := w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/token",
		fmt.Sprintf(`{"license_id":%q,"hardware_id":"device-123"}`, b.victim), "X-API-Key", w.APIKey), http.StatusOK,
		"")
	access := pair.text("access_token")
	offline := w.want(w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/offline-token", "{}", "Authorization",
		"Bearer "+access), http.StatusCreated, "")
	b.good = map[string]string{"X-API-Key": w.APIKey, "X-Admin-Secret": w.AdminSecret, "X-Admin-API-Key": w.AdminAPIKey,
		"Authorization": access}
	b.others = maps.Clone(b.good)
	b.others["refresh token"], b.others["offline token"] = pair.text("refresh_token"), offline.text("token")
	b.others["license key"], b.others["license id"] = b.key, b.victim
	return b
}

// as lets a subtest speak for the attacker.
func (b *attacker) as(t *testing.T) *attacker {
	inner, other := *b.harness, *b
	inner.T, other.harness = t, &inner
	return &other
}

// state is everything that a request could have changed: the victim, its devices and audit entries, and how much there
// is of all else.
func (b *attacker) state() string {
	b.Helper()
	license := b.want(b.admin(http.MethodGet, "/licenses/"+b.victim, ""), http.StatusOK, "")
	delete(license.body, "statistics")
	all := b.want(b.admin(http.MethodGet, "/licenses?per_page=1", ""), http.StatusOK, "")
	devices := b.want(b.admin(http.MethodGet, "/licenses/"+b.victim+"/devices", ""), http.StatusOK, "")
	for _, d := range devices.body["devices"].([]any) {
		delete(d.(map[string]any), "last_seen_at") // the good credential was seen
	}
	events := b.want(b.admin(http.MethodGet, "/licenses/"+b.victim+"/events", ""), http.StatusOK, "")
	keys := b.want(b.call(http.MethodGet, b.AuthURL+"/api/v1/auth/api-keys", "", "X-Admin-Secret", b.AdminSecret),
		http.StatusOK, "")
	admins := b.want(b.admin(http.MethodGet, "/keys", ""), http.StatusOK, "")
	text, err := json.Marshal([]any{license.body, all.body["total"], devices.body, events.body["total"], keys.body,
		admins.body})
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

// operations are all operations of the four documents, save those whose refusals have other forms.
func (b *attacker) operations() []operation {
	b.Helper()
	return slices.DeleteFunc(b.all(), func(op operation) bool {
		return slices.Contains(op.Tags, "licensespring") || slices.Contains(op.Tags, "spectra-analyze")
	})
}

// all are all operations of the four documents.
func (b *attacker) all() (all []operation) {
	b.Helper()
	for _, service := range []struct {
		url string
		doc []byte
	}{{b.AuthURL, openapi.Auth}, {b.LicenseURL, openapi.License}, {b.AnalyticsURL, openapi.Analytics},
		{b.AdminURL, openapi.Admin}} {
		doc, err := openapi3.NewLoader().LoadFromData(service.doc)
		if err != nil {
			b.Fatal(err)
		}
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				o := operation{Operation: op, method: method, path: path, url: service.url, item: item}
				o.Parameters = append(slices.Clone(op.Parameters), item.Parameters...)
				o.readSecurity(doc)
				all = append(all, o)
			}
		}
	}
	slices.SortFunc(all, func(x, y operation) int { return strings.Compare(x.path+x.method, y.path+y.method) })
	return all
}

func (o *operation) readSecurity(doc *openapi3.T) {
	requirements := doc.Security
	if o.Security != nil {
		requirements = *o.Security
	}
	for _, requirement := range requirements {
		for name := range requirement {
			scheme := doc.Components.SecuritySchemes[name].Value
			if o.header = scheme.Name; scheme.Type == "http" {
				o.header, o.prefix = "Authorization", "Bearer "
			}
		}
	}
}

// maxBody is the largest body that the operation reads, in bytes.
func (o operation) maxBody() int {
	switch {
	case strings.HasSuffix(o.path, "/bulk-create"), strings.HasSuffix(o.path, "/licenses/bulk"),
		strings.HasSuffix(o.path, "/licenses/import"), strings.HasSuffix(o.path, "/masters/{master}/slaves"):
		return 10 << 20
	case o.header != "" && o.header != "Authorization":
		return 1 << 20
	case strings.HasPrefix(o.path, "/api/v1/auth/"):
		return 16 << 10
	}
	return 32 << 10
}

// badBody is the status that refuses a body which is wrong in any case.
func (o operation) badBody(body string) int {
	if len(body) > o.maxBody() {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// at fills the parameters of the path: the victim's id, and ids of nothing for all else.
func (b *attacker) at(op operation, id string) string {
	path := strings.ReplaceAll(op.path, "{license_id}", id)
	return op.url + pathParameter.ReplaceAllLiteralString(path, strings.ReplaceAll(id, b.victim, unknownID))
}

// refused makes a call that must be refused with one of the statuses.
func (b *attacker) refused(op operation, what string, a answer, statuses ...int) {
	b.Helper()
	if !slices.Contains(statuses, a.status) {
		b.Errorf("%s: got %d %.300s, want %v", what, a.status, a.raw, statuses)
		return
	}
	message, code := a.text("error"), a.code()
	if _, ok := a.body["details"].(map[string]any); (!ok || message == "" || code == "") && !a.isOfDialect() {
		b.Errorf("%s: not the shape of an error: %d %.300s", what, a.status, a.raw)
	}
	if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		b.Errorf("%s: the error is %s", what, got)
	}
	if a.header.Get("X-Request-ID") == "" {
		b.Errorf("%s: no X-Request-ID", what)
	}
	if op.Operation != nil && a.status != http.StatusMethodNotAllowed && op.Responses.Status(a.status) == nil {
		b.Errorf("%s: %d is not documented: %s", what, a.status, a.raw)
	}
}

// isOfDialect reports whether an error has the form that clients of other vendors' APIs expect: those of OAuth (RFC
// 6749, 5.2) find the same in two members more.
func (a answer) isOfDialect() bool {
	oauth := len(a.body) == 5 && a.text("error") != "" && a.text("error_description") == a.text("message")
	return (len(a.body) == 3 || oauth) && a.body["status"] == float64(a.status) && a.text("code") != "" &&
		a.text("message") != ""
}

// send calls the operation on the victim with its good credential.
func (b *attacker) send(op operation, url, body string, headers ...string) answer {
	b.Helper()
	return b.call(op.method, url, body, append(b.credential(op), headers...)...)
}

// credential is the good one, as a header and its value.
func (b *attacker) credential(op operation) []string {
	if op.header == "" {
		return nil
	}
	return []string{op.header, op.prefix + b.good[op.header]}
}
