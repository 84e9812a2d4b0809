package license_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

// conditionals are bodies of the calls that take If-Match.
var conditionals = map[string]string{
	"PATCH licenses/{license_id}":                     `{"max_devices":9}`,
	"POST licenses/{license_id}/rotate-key":           `{"overlap_hours":1}`,
	"POST licenses/{license_id}/enrollment-keys":      `{"label":"school"}`,
	"POST licenses/{license_id}/license-file":         `{"hardware_ids":["pc"]}`,
	"POST licenses/{license_id}/devices/deactivate":   `{"hardware_id":"pc"}`,
	"POST licenses/{license_id}/renew":                `{"months":1}`,
	"POST licenses/{license_id}/suspend":              `{"reason":"unpaid"}`,
	"POST licenses/{license_id}/convert":              `{"max_devices":9}`,
	"PATCH licenses/{license_id}/devices/{device_id}": `{"label":"desk"}`,
	"PUT customers/{customer_id}":                     `{"name":"Acme"}`,
	"PATCH customers/{customer_id}":                   `{"name":"Acme"}`,
	"POST licenses/{license_id}/transfer":             `{"from_hardware_id":"pc","to_hardware_id":"b"}`,
	"PUT licenses/{license_id}/entitlements/{code}":   `{"name":"Export"}`,
	"PUT licenses/{license_id}/counters/{name}":       `{"limit":9}`,
	"PATCH users/{user_id}":                           `{"name":"Ada"}`,
	"PATCH groups/{group_id}":                         `{"name":"Chemistry"}`,
	"PATCH products/{code}":                           `{"name":"The Editor"}`,
	"POST licenses/{license_id}/change-policy":        `{"policy":"NAME"}`,
	"PATCH policies/{code}":                           `{"name":"Pro"}`,
}

// conditioned makes one of everything that a call with If-Match can be about, all with a name, and returns the path.
func (w *world) conditioned(path, name string) string {
	w.t.Helper()
	user := w.users(http.MethodPost, "", `{"product":"studio","customer_id":"`+name+`","email":"`+name+`@x.example"}`)
	group := w.groups(http.MethodPost, "", `{"name":"Physics"}`)
	w.must(w.products(http.MethodPost, "", `{"code":"`+name+`"}`), http.StatusCreated)
	w.must(w.policies(http.MethodPost, "", `{"code":"`+name+`","name":"Thing"}`), http.StatusCreated)
	made := w.manage(http.MethodPost, "", `{"customer_id":"`+name+`","is_trial":true,"expires_in_days":30,`+
		`"max_devices":5,"features":["`+name+`"],"counters":[{"name":"`+name+`","limit":5}]}`)
	w.must(made, http.StatusCreated)
	id := made.body["license_id"].(string)
	activated := w.post("activate", device(made.body["license_key"].(string), "pc"))
	w.must(activated, http.StatusCreated)
	enrollment := w.manage(http.MethodPost, "/"+id+"/enrollment-keys", `{"label":"b"}`)
	w.must(enrollment, http.StatusCreated)
	if strings.Contains(path, "/users/") {
		of := w.manage(http.MethodPost, "", `{"customer_id":"`+name+`","product":"studio"}`)
		w.must(of, http.StatusCreated)
		id = of.body["license_id"].(string)
	}
	return strings.NewReplacer("{license_id}", id, "{user_id}", user.body["user_id"].(string),
		"{group_id}", group.body["group_id"].(string), "{customer_id}", name, "{code}", name, "{name}", name,
		"{device_id}", activated.body["device_id"].(string),
		"{enrollment_key_id}", enrollment.body["enrollment_key_id"].(string)).Replace(path)
}

// etag is that of the thing with a version that a path leads to.
func (w *world) etag(path string) string {
	w.t.Helper()
	parts := strings.Split(path, "/")
	got := w.ask(w.front(ada), http.MethodGet, "/api/v1/admin/"+parts[0]+"/"+parts[1], "")
	w.must(got, http.StatusOK)
	return got.header.Get("ETag")
}

// TestIfMatchIsObeyedOrRefused: every change whose document names If-Match is made only for the version that it names,
// and every other one refuses the header, which nobody sends who does not rely on it.
func TestIfMatchIsObeyedOrRefused(t *testing.T) {
	document, err := openapi3.NewLoader().LoadFromData(openapi.Admin)
	if err != nil {
		t.Fatal(err)
	}
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.studio()
		obeyed := 0
		for full, item := range document.Paths.Map() {
			path := strings.TrimPrefix(full, "/api/v1/admin/")
			if strings.HasPrefix(path, "keys") || strings.HasPrefix(path, "api-keys") {
				continue // those of admin and auth, which have tests of their own
			}
			for method, operation := range item.Operations() {
				switch {
				case method == http.MethodGet:
				case operation.Parameters.GetByInAndName("header", "If-Match") == nil:
					w.want(w.ask(w.admin, method, full, "{}", "If-Match", `"1"`), http.StatusBadRequest,
						errcode.ValidationError)
				default:
					obeyed++
					w.obeys(method, path, "thing-"+strconv.Itoa(obeyed))
				}
			}
		}
		if obeyed < 30 {
			w.t.Errorf("%d calls take If-Match", obeyed)
		}
	})
}

func (w *world) obeys(method, path, name string) {
	w.t.Helper()
	at, body := w.conditioned(path, name), strings.ReplaceAll(conditionals[method+" "+path], "NAME", name)
	call := func(version string) answer {
		return w.ask(w.admin, method, "/api/v1/admin/"+at, body, "If-Match", version)
	}
	before := w.etag(at)
	stale := call(`"77"`)
	if stale.status != http.StatusPreconditionFailed || stale.body["error_code"] != errcode.VersionMismatch {
		w.t.Errorf("%s %s: %d %s", method, path, stale.status, stale.raw)
	}
	if after := w.etag(at); after != before {
		w.t.Errorf("%s %s: version %s became %s", method, path, before, after)
	}
	if none := call(`"77", W/"78"`); none.status != http.StatusPreconditionFailed {
		w.t.Errorf("%s %s with two stale tags: %d %s", method, path, none.status, none.raw)
	}
	if fresh := call(`"77", ` + before); fresh.status >= 300 {
		w.t.Errorf("%s %s with %s among others: %d %s", method, path, before, fresh.status, fresh.raw)
	}
	if bad := call("1"); bad.status != http.StatusBadRequest {
		w.t.Errorf("%s %s: a tag without quotes is answered %d", method, path, bad.status)
	}
}
