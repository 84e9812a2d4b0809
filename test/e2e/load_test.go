//go:build unix

package e2e

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// chain makes calls one after the other until one fails.
type chain struct {
	*roundRobin
	err error
}

func (c *chain) ask(status int, service, method, path, body string, headers ...string) (a answer) {
	if c.err == nil {
		a, c.err = c.expect(status, service, method, path, body, headers...)
	}
	return a
}

// asks makes a call of an application, of the license service.
func (c *chain) asks(status int, path, body string, headers ...string) answer {
	return c.ask(status, "license", http.MethodPost, path, body, append(c.asClient.header(), headers...)...)
}

// manages makes a call of an administrator.
func (c *chain) manages(status int, method, path, body string) answer {
	return c.ask(status, "admin", method, "/api/v1/admin"+path, body, c.asOwner.header()...)
}

// everything is what all kinds of users of a suite do, beside journeys: the life of a license, of counters and leases,
// of API keys, and clients of other vendors.
func (r *roundRobin) everything() []func(device string) error {
	return append([]func(string) error{r.protected, r.lifeOfALicense, r.counted, r.lifeOfAnAPIKey, r.looked},
		r.foreign()...)
}

func (r *roundRobin) lifeOfALicense(pc string) error {
	c := chain{roundRobin: r}
	made := c.manages(201, http.MethodPost, "/licenses", `{"customer_id":"life","max_devices":2,"expires_in_days":30}`)
	id, key := made.text("license_id"), made.text("license_key")
	c.asks(201, "/api/v1/license/activate", device(key, pc))
	c.asks(201, "/api/v1/license/license-file", device(key, pc))
	c.manages(200, http.MethodPost, "/licenses/"+id+"/transfer",
		fmt.Sprintf(`{"from_hardware_id":%q,"to_hardware_id":"%s-moved"}`, pc, pc))
	c.manages(200, http.MethodPatch, "/licenses/"+id, `{"metadata":{"a":"b"}}`)
	c.manages(200, http.MethodPost, "/licenses/"+id+"/renew", `{"until":"2100-01-01T00:00:00Z"}`)
	c.asks(200, "/api/v1/license/deactivate", device(key, pc+"-moved"))
	c.manages(200, http.MethodGet, "/licenses/"+id+"/devices", "")
	c.manages(200, http.MethodGet, "/licenses/"+id+"/events", "")
	c.manages(200, http.MethodDelete, "/licenses/"+id, "")
	rows := strings.TrimSuffix(strings.Repeat(`{"customer_id":"life"},`, 50), ",")
	c.manages(201, http.MethodPost, "/licenses/bulk-create", `{"licenses":[`+rows+`]}`)
	return c.err
}

func (r *roundRobin) counted(pc string) error {
	c := chain{roundRobin: r}
	key := c.manages(201, http.MethodPost, "/licenses", `{"customer_id":"counted",
		"counters":[{"name":"exports","limit":10}],"floating":{"slots":2}}`).text("license_key")
	c.asks(201, "/api/v1/license/activate", device(key, pc))
	consume := fmt.Sprintf(`{"license_key":%q,"hardware_id":%q,"counter":"exports","amount":2}`, key, pc)
	c.asks(200, "/api/v1/license/consume", consume)
	lease := c.asks(201, "/api/v1/license/leases", device(key, pc))
	path := "/api/v1/license/leases/" + lease.text("lease_id")
	bearer := []string{"Authorization", "Bearer " + lease.text("lease_token")}
	c.ask(200, "license", http.MethodPost, path+"/renew", "{}", bearer...)
	c.ask(200, "license", http.MethodDelete, path, "", bearer...)
	return c.err
}

func (r *roundRobin) lifeOfAnAPIKey(string) error {
	c := chain{roundRobin: r}
	path := "/api/v1/auth/api-keys/" + c.ask(201, "auth", http.MethodPost, "/api/v1/auth/api-key",
		`{"client_name":"life","allowed_endpoints":["*"]}`, c.asVendor.header()...).text("id")
	c.ask(200, "auth", http.MethodPatch, path, `{"client_name":"later life"}`, c.asVendor.header()...)
	c.ask(200, "auth", http.MethodPost, path+"/rotate", `{"grace_seconds":0}`, c.asVendor.header()...)
	c.ask(200, "auth", http.MethodDelete, path, "", c.asVendor.header()...)
	return c.err
}

// looked reads what several services answer together, and what needs no credential.
func (r *roundRobin) looked(string) error {
	c := chain{roundRobin: r}
	for _, path := range []string{"/statistics", "/audit?per_page=5", "/api-keys", "/keys", "/products",
		"/licenses?per_page=5"} {
		c.manages(200, http.MethodGet, path, "")
	}
	c.ask(200, "analytics", http.MethodGet, "/api/v1/analytics/anomalies", "", c.asClient.header()...)
	c.ask(200, "auth", http.MethodGet, "/.well-known/jwks.json", "")
	c.ask(200, "license", http.MethodGet, "/api/v1/license/keys", "")
	return c.err
}

// foreign are clients of the LicenseSpring API and of delegated keys.
func (r *roundRobin) foreign() []func(device string) error {
	r.Helper()
	code := "rolling-" + strings.ToLower(rand.Text()[:8])
	r.want(r.admin(http.MethodPost, "/products", fmt.Sprintf(`{"code":%q}`, code)), 201, "")
	made := r.want(r.admin(http.MethodPost, "/integrations/licensespring",
		fmt.Sprintf(`{"name":%q,"rate_limit":{"per_minute":0,"per_hour":0}}`, code)), 201, "")
	_, key := r.create(fmt.Sprintf(`{"customer_id":"springs","product":%q,"max_devices":1000000}`, code))
	return []func(string) error{
		func(pc string) error {
			c := chain{roundRobin: r}
			c.ask(200, "license", http.MethodPost, "/api/v4/activate_license", fmt.Sprintf(
				`{"product":%q,"license_key":%q,"hardware_id":%q}`, code, key, pc), springSigned(made)...)
			c.ask(200, "license", http.MethodGet, "/api/v4/check_license?"+url.Values{"product": {code},
				"license_key": {key}, "hardware_id": {pc}}.Encode(), "", springSigned(made)...)
			return c.err
		},
		func(pc string) error {
			c := chain{roundRobin: r}
			// Each time another organisation, since calls with one master key are limited.
			organisation := c.manages(201, http.MethodPost, "/delegated/organisations",
				fmt.Sprintf(`{"name":%q,"credits":1}`, rand.Text())).text("organisation")
			master := c.manages(201, http.MethodPost, "/delegated/organisations/"+organisation+"/masters",
				fmt.Sprintf(`{"product":%q,"operating_system":"linux"}`, code)).text("master_key")
			slave := c.ask(200, "license", http.MethodPost, "/slaves", fmt.Sprintf(`{"masterKey":%q}`, master))
			c.ask(201, "license", http.MethodPost, "/activate",
				fmt.Sprintf(`{"masterOrSlaveKey":%q,"runtimeKey":%q}`, slave.text("key"), pc))
			return c.err
		},
	}
}

// springSigned are the headers by which a client of the LicenseSpring API signs a request, of its integration.
func springSigned(integration answer) []string {
	date := time.Now().UTC().Format(http.TimeFormat)
	mac := hmac.New(sha256.New, []byte(integration.text("shared_key")))
	fmt.Fprintf(mac, "licenseSpring\ndate: %s", date)
	return []string{"Date", date, "Authorization", fmt.Sprintf(
		`algorithm="hmac-sha256", headers="date", signature=%q, apikey=%q`,
		base64.StdEncoding.EncodeToString(mac.Sum(nil)), integration.text("api_key"))}
}
