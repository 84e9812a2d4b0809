//go:build unix

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// flooder makes the calls of one flood after another.
type flooder struct {
	*harness
	held
	// app has the credentials that applications are shipped with, spent others whose calls are used up; now are those
	// in use.
	app, spent, now application
	// last counts all calls of the floods, asked the requests that they are made of.
	last, asked *int
	// marked is a license that is used by those who look at what a flood left, so many times.
	marked, markedKey string
	marks             *int
}

// application is what is shipped with one: an API key, and the keys of a LicenseSpring integration.
type application struct{ apiKey, springKey, springSecret string }

// held is what the holder of one seat has, of several licenses with one seat each: of cycled the seat is handed on,
// pooled is floating without seats, matched recognizes its device by components, springs is for LicenseSpring.
type held struct {
	id, own, cycled, pooled, matched, springs, offline string
	access, offlineAccess, repeated, rotated           string
	lease, leaseToken                                  string
	device, master, partner                            string
	// passwords of eve, of which the second is the one in force.
	passwords [2]string
	// guarded are the operations that want a credential.
	guarded []operation
}

func newFlooder(w *harness) *flooder {
	w.Helper()
	f := &flooder{harness: w, last: new(int), asked: new(int), marks: new(int)}
	f.app, f.spent = f.application(`{"per_minute":0,"per_hour":0,"per":"address"}`, `{"per_minute":0,"per_hour":0}`),
		f.application(`{"per_minute":1,"per_hour":1,"per":"key"}`, `{"per_minute":1,"per_hour":1}`)
	f.now = f.app
	f.marked, f.markedKey = f.seat(``)
	const more = `,"counters":[{"name":"exports","limit":null,"per_device":true},` +
		`{"name":"consumptions","limit":null}],"floating":{"slots":1,"borrow_max_hours":1,"lease_seconds":86400}`
	f.id, f.own = f.seat(more)
	devices := f.want(f.admin("GET", "/licenses/"+f.id+"/devices", ""), 200, "").body["devices"].([]any)
	f.device, _ = devices[0].(map[string]any)["device_id"].(string)
	_, f.cycled = f.seat(more)
	_, f.matched = f.create(`{"customer_id":"flood","device_match":"two"}`)
	f.want(f.license("activate", deviceWith(f.matched, "pc", components)), http.StatusCreated, "")
	_, f.pooled = f.create(`{"customer_id":"flood","floating":{"slots":1,"activation":"none"},"counters":[` +
		`{"name":"exports","limit":null,"per_device":true}]}`)
	f.people()
	f.guarded = (&attacker{harness: w}).all()
	f.guarded = slices.DeleteFunc(f.guarded, func(op operation) bool { return op.header == "" })
	_, f.springs = f.seat(more + `,"product":"desktop"`)
	_, f.offline = f.create(`{"customer_id":"flood","product":"desktop"}`)
	f.access, f.repeated = f.pair(f.id, "pc")
	_, f.rotated = f.pair(f.id, "pc")
	id, _ := f.seat("")
	f.offlineAccess, _ = f.pair(id, "pc")
	leased := f.want(f.license("leases", device(f.own, "pc")), http.StatusCreated, "")
	f.lease, f.leaseToken = leased.text("lease_id"), leased.text("lease_token")
	organisation := f.want(f.admin("POST", "/delegated/organisations", `{"name":"flood","credits":5}`), 201, "").
		text("organisation")
	for system, key := range map[string]*string{"linux": &f.master, "windows": &f.partner} {
		*key = f.want(f.admin("POST", "/delegated/organisations/"+organisation+"/masters",
			fmt.Sprintf(`{"product":"default","operating_system":%q}`, system)), 201, "").text("master_key")
	}
	return f
}

// application makes credentials with limits, those of API keys and those of integrations.
func (f *flooder) application(perKey, perIntegration string) (a application) {
	f.Helper()
	_, a.apiKey = f.apiKey(`{"client_name":"app","rate_limit":` + perKey + `}`)
	made := f.want(f.admin("POST", "/integrations/licensespring", `{"name":"app","rate_limit":`+perIntegration+`}`),
		http.StatusCreated, "")
	a.springKey, a.springSecret = made.text("api_key"), made.text("shared_key")
	return a
}

// components are those of the device that is recognized by them.
const components = `"components":{"cpu":"c-17","disk":"d-17"}`

// seat makes a license with one seat, which the device pc takes.
func (f *flooder) seat(more string) (id, key string) {
	f.Helper()
	id, key = f.create(`{"customer_id":"flood"` + more + `}`)
	f.want(f.license("activate", device(key, "pc")), http.StatusCreated, "")
	return id, key
}

// people makes what trials and sign-ins need.
func (f *flooder) people() {
	f.Helper()
	f.passwords = [2]string{"battery staple", "correct horse"}
	f.want(f.admin("POST", "/products", `{"code":"desktop"}`), 201, "")
	f.want(f.admin("POST", "/policies",
		`{"code":"desktop-trial","product":"desktop","is_trial":true,"duration_days":14}`), 201, "")
	f.want(f.admin("POST", "/products", `{"code":"studio","authorization_method":"user"}`), 201, "")
	id, _ := f.create(`{"customer_id":"flood","product":"studio"}`)
	for _, name := range []string{"ada", "eve"} {
		user := f.want(f.admin("POST", "/users", fmt.Sprintf(`{"product":"studio","customer_id":"flood",`+
			`"email":"%s@example.com","initial_password":"correct horse"}`, name)), 201, "").text("user_id")
		f.want(f.admin("PUT", "/licenses/"+id+"/users/"+user, ""), 200, "")
	}
}

// as lets a subtest flood.
func (f *flooder) as(t *testing.T) *flooder {
	inner, other := *f.harness, *f
	inner.T, other.harness, other.now = t, &inner, f.app
	return &other
}

// ask makes a call from the address of the application, under a key of its own.
func (f *flooder) ask(method, url, body string, headers ...string) answer {
	f.Helper()
	*f.asked++
	return f.call(method, url, body, append([]string{"X-Forwarded-For", "192.0.2.7", "Idempotency-Key",
		fmt.Sprint("flood-", *f.asked)}, headers...)...)
}

// fresh is a name that was not used before in this place.
func (f *flooder) fresh(prefix string) string { return fmt.Sprint(prefix, "-", *f.last) }

// stranger makes a call from an address that nobody else has.
func (f *flooder) stranger(method, url, body string, headers ...string) answer {
	f.Helper()
	return f.ask(method, url, body, append([]string{"X-Forwarded-For", fmt.Sprintf("2001:db8:%x::1", *f.asked)},
		headers...)...)
}

// post asks the license service by the key of the application.
func (f *flooder) post(path, body string, headers ...string) answer {
	f.Helper()
	return f.ask("POST", f.LicenseURL+"/api/v1/license/"+path, body, append([]string{"X-API-Key", f.now.apiKey},
		headers...)...)
}

// deviceWith is the body of a call by one of the licenses for a device, with more members.
func deviceWith(key, hardwareID, members string) string {
	return strings.TrimSuffix(device(key, hardwareID), "}") + "," + members + "}"
}

// spring asks the dialect as an application does: parameters are in the body, or in the query of a GET.
func (f *flooder) spring(method, path string, parameters ...string) answer {
	f.Helper()
	return f.signed(f.now, method, path, parameters...)
}

// signed is spring by the keys that are given.
func (f *flooder) signed(by application, method, path string, parameters ...string) answer {
	f.Helper()
	values, members := url.Values{}, []string{}
	for i := 0; i < len(parameters); i += 2 {
		values.Set(parameters[i], parameters[i+1])
		members = append(members, fmt.Sprintf("%q:%q", parameters[i], parameters[i+1]))
	}
	if method == "GET" {
		return f.send(by, method, path+"?"+values.Encode(), "")
	}
	return f.send(by, method, path, "{"+strings.Join(members, ",")+"}")
}

func (f *flooder) send(by application, method, path, body string, headers ...string) answer {
	f.Helper()
	date := time.Now().UTC().Format(http.TimeFormat)
	return f.ask(method, f.LicenseURL+"/api/v4/"+path, body, append([]string{"Date", date, "Authorization",
		fmt.Sprintf(`algorithm="hmac-sha256", headers="date", signature=%q, apikey=%q`, by.sign("date: "+date),
			by.springKey)}, headers...)...)
}

// parameters are those that name a device on the license for LicenseSpring, and more.
func (f *flooder) parameters(hardwareID string, more ...string) []string {
	return append([]string{"product", "desktop", "license_key", f.springs, "hardware_id", hardwareID}, more...)
}

func (a application) sign(text string) string {
	mac := hmac.New(sha256.New, []byte(a.springSecret))
	mac.Write([]byte("licenseSpring\n" + text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// carried is a request of a device without a network, in a file that somebody carries to the server.
func (f *flooder) carried(path, request string) answer {
	f.Helper()
	// Nothing but the date tells the signatures of two requests apart.
	date := time.Now().UTC().Add(-time.Duration(*f.last) * time.Minute).Format(http.TimeFormat)
	if request == "deactivation" {
		date = time.Now().UTC().Add(-time.Duration(*f.last)*time.Minute + 30*time.Second).Format(http.TimeFormat)
	}
	text := fmt.Sprintf(`{"request":%q,"request_id":%q,"product":"desktop","license_key":%q,"hardware_id":"carried",`+
		`"date":%q,"api_key":%q,"signature":%q}`, request, f.fresh(request), f.offline, date, f.now.springKey,
		f.now.sign("date: "+date+"\n"+f.offline+"\ncarried\n"+f.now.springKey))
	return f.send(f.now, "POST", path, base64.StdEncoding.EncodeToString([]byte(text)), "Content-Type", "text/plain")
}
