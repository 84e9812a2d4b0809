package peers

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/outbound"
	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
)

// otherLatchkey answers what a test tells it, by the end of the path, and remembers what it was asked.
type otherLatchkey struct {
	*httptest.Server
	answers map[string]reply
	asked   []string
}

type reply struct {
	status int
	body   string
}

func startOther(t *testing.T, answers map[string]reply) *otherLatchkey {
	o := &otherLatchkey{answers: answers}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

// ServeHTTP implements http.Handler.
func (o *otherLatchkey) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	o.asked = append(o.asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-API-Key")+" "+string(body))
	answer := o.answers[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
	if answer.status/100 == 3 {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(answer.status)
	_, _ = io.WriteString(w, answer.body)
}

func (o *otherLatchkey) account() appliance.Account {
	return appliance.Account{URL: o.URL + "/at/", LicenseKey: "LIC-1", APIKey: "sk_1", Seconds: 20}
}

const goodLicense = `"license_id":"0199d3c4-7a10-7c3e-9f65-0c1d4e5f6a7b","product":"editor",` +
	`"license_type":"subscription",` +
	`"expires_at":"2026-06-01T00:00:00Z"`

var loopback = Upstream{Policy: outbound.Policy{Private: true}}

func TestUpstreamAnswers(t *testing.T) {
	end := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	want := appliance.Answer{
		LicenseID: "0199d3c4-7a10-7c3e-9f65-0c1d4e5f6a7b",
		Product:   "editor", LicenseType: "subscription", ExpiresAt: end, UsableUntil: end,
	}
	o := startOther(t, map[string]reply{
		"activate":   {201, `{"activated":true,` + goodLicense + `}`},
		"validate":   {200, `{"valid":true,` + goodLicense + `,"grace":true,"grace_ends_at":"2026-06-02T00:00:00Z"}`},
		"deactivate": {200, `{"deactivated":true,"license_id":"0199d3c4-7a10-7c3e-9f65-0c1d4e5f6a7b"}`},
	})
	fresh := want
	fresh.Taken = true
	if got, err := loopback.Activate(t.Context(), o.account(), "m-1", ""); err != nil || got != fresh {
		t.Errorf("activate: %+v, %v", got, err)
	}
	asGrace := want
	asGrace.UsableUntil = end.Add(24 * time.Hour)
	if got, err := loopback.Validate(t.Context(), o.account(), "m-1", ""); err != nil || got != asGrace {
		t.Errorf("validate: %+v, %v", got, err)
	}
	if err := loopback.Deactivate(t.Context(), o.account(), "m-1"); err != nil {
		t.Error(err)
	}
	o.answers["activate"] = reply{409, `{"error_code":"ALREADY_ACTIVATED","error":"taken","details":{}}`}
	if got, err := loopback.Activate(t.Context(), o.account(), "m-1", ""); err != nil || got != asGrace {
		t.Errorf("activated before: %+v, %v", got, err)
	}
	for i, call := range []string{"activate", "validate", "deactivate", "activate", "validate"} {
		const body = `{"hardware_id":"m-1","license_key":"LIC-1"}`
		if want := "POST /at/api/v1/license/" + call + " sk_1 " + body; i >= len(o.asked) || o.asked[i] != want {
			t.Fatalf("asked %q", o.asked)
		}
	}
}

// TestUpstreamIsAskedForAProof: validate alone answers with a statement, so it is asked after a seat was taken, too.
func TestUpstreamIsAskedForAProof(t *testing.T) {
	o := startOther(t, map[string]reply{
		"activate": {201, `{"activated":true,` + goodLicense + `}`},
		"validate": {200, `{"valid":true,` + goodLicense + `,"signed_statement":"signed"}`},
	})
	got, err := loopback.Activate(t.Context(), o.account(), "m-1", "n-1")
	if err != nil || got.Statement != "signed" || !got.Taken {
		t.Errorf("%+v, %v", got, err)
	}
	const asked = `{"hardware_id":"m-1","license_key":"LIC-1","nonce":"n-1"}`
	if len(o.asked) != 2 || !strings.HasSuffix(o.asked[1], asked) || strings.Contains(o.asked[0], "nonce") {
		t.Errorf("asked %q", o.asked)
	}
}

// TestUpstreamRefusals tells what an upstream decides, which ends a license, from what is no answer of it.
func TestUpstreamRefusals(t *testing.T) {
	long := strings.Repeat("é", maxReason)
	text, err := json.Marshal("no\nlonger " + long)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		answer reply
		code   string // none: no answer
	}{
		"no seat": {reply{200, `{"valid":false,"error_code":"DEVICE_NOT_ACTIVATED",` + goodLicense + `}`},
			"DEVICE_NOT_ACTIVATED"},
		"suspended": {reply{403, `{"valid":false,"error_code":"LICENSE_SUSPENDED","error":` + string(text) +
			`}`}, "LICENSE_SUSPENDED"},
		"unknown":           {reply{404, `{"error_code":"LICENSE_NOT_FOUND","error":"x"}`}, "LICENSE_NOT_FOUND"},
		"a revoked API key": {reply{401, `{"error_code":"INVALID_API_KEY","error":"x"}`}, "INVALID_API_KEY"},
		"a wrong path":      {reply{404, `{"error_code":"NOT_FOUND","error":"x"}`}, ""},
		"another program":   {reply{404, `<h1>Not found</h1>`}, ""},
		"another's JSON":    {reply{403, `{"error":"forbidden"}`}, ""},
		"another's code":    {reply{403, `{"error_code":"no access <here>"}`}, ""},
		"a proxy's page":    {reply{200, `<h1>Please log in</h1>`}, ""},
		"nothing":           {reply{200, ``}, ""},
		"an empty object":   {reply{200, `{}`}, ""},
		"a strange id":      {reply{200, `{"valid":true,"license_id":"l-1\u0000"}`}, ""},
		"a strange product": {reply{200, `{"valid":true,` + goodLicense + `,"product":"a\u0000b"}`}, ""},
		"a strange type":    {reply{200, `{"valid":true,` + goodLicense + `,"license_type":"` + long + `"}`}, ""},
		"no verdict":        {reply{200, `{` + goodLicense + `}`}, ""},
		"no object":         {reply{200, `[]`}, ""},
		"null":              {reply{200, `null`}, ""},
		"too many calls":    {reply{429, `{"error_code":"RATE_LIMIT_EXCEEDED","error":"x"}`}, ""},
		"busy":              {reply{503, `{"error_code":"SERVICE_UNAVAILABLE","error":"x"}`}, ""},
		"broken":            {reply{500, `{"error_code":"INTERNAL_ERROR","error":"x"}`}, ""},
		"elsewhere":         {reply{307, ``}, ""},
	} {
		o := startOther(t, map[string]reply{"validate": tt.answer})
		_, err := loopback.Validate(t.Context(), o.account(), "m-1", "")
		refused := new(appliance.RefusedError)
		code := ""
		if errors.As(err, &refused) {
			code = refused.Code
		}
		if err == nil || code != tt.code || len(refused.Message) > maxReason ||
			strings.Contains(refused.Message, "\n") {
			t.Errorf("%s: %v, want %q", name, err, tt.code)
		}
		if len(o.asked) != 1 {
			t.Errorf("%s: asked %q", name, o.asked)
		}
	}
}

// TestUpstreamOfOneProduct: the upstream is asked for it, and one that answers for another is not believed.
func TestUpstreamOfOneProduct(t *testing.T) {
	for product, refused := range map[string]bool{"editor": false, "viewer": true} {
		o := startOther(t, map[string]reply{
			"activate": {201, `{` + goodLicense + `}`}, "validate": {200, `{"valid":true,` + goodLicense + `}`},
		})
		u := Upstream{Policy: loopback.Policy, Product: product}
		_, activated := u.Activate(t.Context(), o.account(), "m-1", "")
		_, validated := u.Validate(t.Context(), o.account(), "m-1", "")
		for _, err := range []error{activated, validated} {
			verdict := new(appliance.RefusedError)
			if errors.As(err, &verdict) != refused || (err != nil) != refused {
				t.Errorf("%s: %v", product, err)
			}
		}
		for _, asked := range o.asked {
			if !strings.Contains(asked, `"product":"`+product+`"`) {
				t.Errorf("asked %s", asked)
			}
		}
	}
}

// TestUpstreamAddresses: what was entered is named as the API of the appliance names it.
func TestUpstreamAddresses(t *testing.T) {
	o := startOther(t, nil)
	account := o.account()
	for name, tt := range map[string]struct {
		upstream Upstream
		edit     func(*appliance.Account)
		field    string
	}{
		"this computer": {Upstream{}, func(a *appliance.Account) { a.URL = "https://127.0.0.1:5002" }, "url"},
		"plain http":    {Upstream{}, func(*appliance.Account) {}, "url"},
		"no URL":        {loopback, func(a *appliance.Account) { a.URL = "https://\x00" }, "url"},
		"a query":       {loopback, func(a *appliance.Account) { a.URL += "?x=" }, "url"},
		"an anchor":     {loopback, func(a *appliance.Account) { a.URL += "#" }, "url"},
		"no port":       {loopback, func(a *appliance.Account) { a.URL = "https://h:" }, "url"},
		"metadata":      {loopback, func(a *appliance.Account) { a.URL = "https://169.254.169.254" }, "url"},
		"a proxy here": {Upstream{}, func(a *appliance.Account) {
			a.URL, a.Proxy = "https://1.1.1.1", &appliance.Proxy{Host: "127.0.0.1", Port: 3128}
		}, "proxy_host"},
		"a proxy's port": {loopback, func(a *appliance.Account) { a.Proxy = &appliance.Proxy{Host: "p", Port: 25} },
			"proxy_port"},
	} {
		edited := account
		tt.edit(&edited)
		_, err := tt.upstream.Activate(t.Context(), edited, "m-1", "")
		e := apierr.From(err)
		if e == nil || e.Kind != apierr.Invalid || e.Details["fields"].(map[string]string)[tt.field] == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(o.asked) > 0 {
		t.Errorf("asked %q", o.asked)
	}
}
