package license_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	adminv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license"
)

// adminsDouble answers as the admin service would: every admin key is the name of its role.
type adminsDouble struct{ away atomic.Bool }

func (a *adminsDouble) LookUpAdminKey(
	_ context.Context, req *connect.Request[adminv1.LookUpAdminKeyRequest],
) (*connect.Response[adminv1.LookUpAdminKeyResponse], error) {
	if a.away.Load() {
		return nil, apierr.ErrUnavailable
	}
	for _, role := range []string{"owner", "operator", "viewer"} {
		if hash := secret.Hash(role); bytes.Equal(req.Msg.GetSha256(), hash[:]) {
			return connect.NewResponse(&adminv1.LookUpAdminKeyResponse{
				AdminKeyId: "admin-1", Name: "Ada", Role: role,
			}), nil
		}
	}
	return nil, apierr.New(apierr.Unauthenticated, errcode.InvalidAdminKey, "no such key")
}

// asAppliance is the configuration of a suite in one process, whose edge mode is switched on or left open.
func asAppliance(required bool) func(*license.Config) {
	return func(c *license.Config) {
		c.Embedded, c.EdgeCheckEvery = true, time.Minute
		if required {
			c.Edge = &required
		}
	}
}

// importRoot makes a root of the database's installation, which is then trusted as another's would be.
func importRoot(t *testing.T, d *db.DB) func(*license.Config) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "root.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	deps := app.Deps{Log: testkit.Log(t), DB: d, Clock: clock.System{}}
	if err := license.ImportRootKey(t.Context(), config(), deps, path, io.Discard); err != nil {
		t.Fatal(err)
	}
	return func(c *license.Config) { c.EdgeRoots = file.PublicPEM(public) }
}

func eachAppliance(t *testing.T, required bool, test func(w *world)) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		edits := []func(*license.Config){asAppliance(required)}
		if !required {
			edits = append(edits, importRoot(t, d))
		}
		test(newWorld(t, d, edits...))
	})
}

// own asks for the license of the installation itself, as an owner.
func (w *world) own(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.call(method, "/api/v1/license"+path, body, append([]string{"Authorization", "Token owner"}, headers...)...)
}

// form is a form with the parts, each a name and its content, and the header that goes with it.
func form(t testing.TB, label string, parts ...string) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", fmt.Sprintf(`form-data; name=%q; filename="license"`, parts[i]))
		h.Set("Content-Type", label)
		part, err := m.CreatePart(h)
		if err == nil {
			_, err = part.Write([]byte(parts[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), m.FormDataContentType()
}

func (w *world) upload(file string) answer {
	w.t.Helper()
	body, contentType := form(w.t, "application/octet-stream", "file", file)
	return w.own(http.MethodPut, "/upload", body, "Content-Type", contentType)
}

// wantOwn wants a refusal in the form of the dialect.
func (w *world) wantOwn(got answer, status int, code string) {
	w.t.Helper()
	detail, _ := got.body["detail"].(map[string]any)
	if got.status != status || got.body["code"] != float64(status) || detail["error_code"] != code ||
		len(got.body) != 3 {
		w.t.Errorf("got %d %s, want %d %s", got.status, got.raw, status, code)
	}
}

// wantStatus wants the status of the installation, in both answers.
func (w *world) wantStatus(status string) answer {
	w.t.Helper()
	short, long := w.own(http.MethodGet, "/status/", ""), w.own(http.MethodGet, "/", "")
	if short.raw != fmt.Sprintf(`{"status":%q}`+"\n", status) || long.body["status"] != status {
		w.t.Errorf("got %s and %s, want %s", short.raw, long.raw, status)
	}
	return long
}

// fileFor is a license file of this installation for machine ids, good for so many hours.
func (w *world) fileFor(hours int, machineIDs ...string) string {
	w.t.Helper()
	id, _ := w.create(5, 0)
	rec := w.applianceFile(fmt.Sprintf(`{"license_id":%q,"machine_ids":["%s"],"valid_hours":%d}`, id,
		strings.Join(machineIDs, `","`), hours), "")
	if rec.Code != http.StatusCreated {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// fileForAny is a license file of this installation that any machine may use.
func (w *world) fileForAny() string {
	w.t.Helper()
	id, _ := w.create(5, 0)
	made := w.manage(http.MethodPost, "/"+id+"/license-file", "{}")
	w.must(made, http.StatusCreated)
	return made.body["license_file"].(string)
}

func (w *world) machineID() string {
	w.t.Helper()
	return w.own(http.MethodGet, "/", "").body["machineId"].(string)
}

func TestAnApplianceIsLicensedByAFile(t *testing.T) {
	eachAppliance(t, false, func(w *world) {
		_, key := w.create(1, 0)
		validate := func() answer { return w.post("validate", device(key, "pc")) }
		w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		machine := w.machineID()
		fresh := w.wantStatus("UNLICENSED")
		want := fmt.Sprintf(`{"status":"UNLICENSED","product":"","machineId":%q,"version":0,"serialNumber":"",`+
			`"licenseType":"","company":"","expiryDate":null,"creationDate":null}`+"\n", machine)
		if fresh.raw != want {
			w.t.Errorf("got  %swant %s", fresh.raw, want)
		}
		w.want(validate(), http.StatusOK, "") // nothing is refused before there was a license

		w.wantOwn(w.upload(w.fileFor(48, "another", "more")), http.StatusBadRequest, errcode.ValidationError)
		uploaded := w.upload(w.fileFor(48, "another", machine))
		w.want(uploaded, http.StatusOK, "")
		day := func(after time.Duration) string { return w.clock.Now().Add(after).UTC().Format(time.DateOnly) }
		if b := uploaded.body; b["status"] != "VALID" || b["product"] != "default" || b["company"] != "acme" ||
			b["licenseType"] != "PERPETUAL" || b["version"] == 0.0 || b["creationDate"] != day(0) ||
			b["expiryDate"] != day(48*time.Hour) || b["serialNumber"] == "" {
			w.t.Errorf("licensed as %s", uploaded.raw)
		}
		if entry := string(w.audited("appliance.upload_license").Data); !strings.Contains(entry, machine) {
			w.t.Errorf("audited %s", entry)
		}
		w.want(validate(), http.StatusOK, "")

		fresher := w.fileFor(96, machine)
		w.clock.Advance(48 * time.Hour)
		w.wantStatus("EXPIRED")
		w.want(validate(), http.StatusForbidden, errcode.ApplianceNotLicensed)
		w.want(w.manage(http.MethodGet, "", ""), http.StatusOK, "") // management goes on
		w.want(w.manage(http.MethodPost, "/"+fmt.Sprint(uploaded.body["serialNumber"])+"/license-file", "{}"),
			http.StatusForbidden, errcode.ApplianceNotLicensed) // but for what hands licenses out
		w.want(w.call(http.MethodGet, "/api/v1/license/keys", ""), http.StatusOK, "")
		w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
		w.want(w.post("activate", device(key, "pc")), http.StatusForbidden, errcode.ApplianceNotLicensed)
		w.want(w.upload(fresher), http.StatusOK, "")
		w.want(validate(), http.StatusOK, "")

		again := w.own(http.MethodPost, "/machine-id/generate", "")
		w.want(again, http.StatusCreated, "")
		if next := w.machineID(); next == machine || again.body["machineId"] != next || len(again.body) != 1 {
			w.t.Errorf("the machine id was %s and is %s: %s", machine, next, again.raw)
		}
		w.audited("appliance.generate_machine_id")
		w.wantStatus("UNLICENSED")
		w.want(validate(), http.StatusForbidden, errcode.ApplianceNotLicensed)
	})
}

func TestAnUnlicensedApplianceServesNoLicenses(t *testing.T) {
	eachAppliance(t, true, func(w *world) {
		id, key := w.create(1, 0)
		w.want(w.post("activate", device(key, "pc")), http.StatusForbidden, errcode.ApplianceNotLicensed)
		w.want(w.call(http.MethodPost, "/api/v1/license/heartbeat", "{}", w.bearer(id, "pc")...),
			http.StatusForbidden, errcode.ApplianceNotLicensed)
		w.wantRefused(w.delegated("key", "pc"), http.StatusBadRequest, errcode.ApplianceNotLicensed)
		explained := w.explain(as(key, "pc", `,"operation":"activate"`))
		w.agrees(explained, w.post("activate", device(key, "pc")))
		if first := explained.body["checks"].([]any)[0].(map[string]any); first["check"] != "installation_licensed" {
			w.t.Errorf("explain begins with %v", first)
		}
		spring := w.call(http.MethodGet, "/api/v4/check_license", "")
		if spring.status != http.StatusBadRequest || spring.body["code"] != "appliance_not_licensed" {
			w.t.Errorf("LicenseSpring: %d %s", spring.status, spring.raw)
		}
		tokens := w.call(http.MethodGet, "/api/v4/oauth_url?login_type=client_credentials", "")
		if !strings.HasSuffix(fmt.Sprint(tokens.body["url"]), "/api/v4/oauth/token") {
			w.t.Errorf("who gives a seat back is told %d %s", tokens.status, tokens.raw)
		}
		_, err := w.asAuth.CheckDevice(t.Context(), connect.NewRequest(&licensev1.CheckDeviceRequest{
			LicenseId: id, HardwareId: "pc",
		}))
		if e := apierr.From(err); e == nil || e.Code != errcode.ApplianceNotLicensed {
			w.t.Errorf("auth is told %v", err)
		}
		issuer := w.issuer()
		good := issuer.fileFor(1, w.machineID())
		w.wantOwn(w.upload(good), http.StatusBadRequest, errcode.ValidationError)
		trusting := w.replicaWith(func(c *license.Config) { c.EdgeRoots = file.PublicPEM(issuer.root()) })
		w.want(trusting.upload(good), http.StatusOK, "")
		w.want(trusting.post("activate", device(key, "pc")), http.StatusCreated, "")
		testkit.Eventually(w.t, patience, func() error { // the other replica does not trust the root
			if got := w.own(http.MethodGet, "/status", ""); got.body["status"] != "INVALID" {
				return fmt.Errorf("%s", got.raw)
			}
			return nil
		})
	})
}

// replicaWith is a replica with other settings.
func (w *world) replicaWith(edit func(*license.Config)) *world {
	was := w.config
	defer func() { w.config = was }()
	edit(&w.config)
	return w.replica()
}

// issuer is a replica that is no appliance.
func (w *world) issuer() *world {
	return w.replicaWith(func(c *license.Config) { c.Edge, c.Embedded, c.EdgeRoots = nil, false, "" })
}

// TestATrialOfTheFile: files of an installation's own root start no refusal.
func TestATrialOfTheFile(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t, license.Migrations...), asAppliance(false))
	_, key := w.create(1, 0)
	w.want(w.upload(w.fileFor(1, w.machineID())), http.StatusOK, "")
	w.clock.Advance(time.Hour)
	w.wantStatus("EXPIRED")
	w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
}

// TestReplicasAgreeOnTheLicenseOfTheInstallation without being asked for it.
func TestReplicasAgreeOnTheLicenseOfTheInstallation(t *testing.T) {
	eachAppliance(t, false, func(w *world) {
		other := w.replica()
		_, key := w.create(1, 0)
		w.want(w.upload(w.fileFor(1, w.machineID())), http.StatusOK, "")
		made := w.own(http.MethodPost, "/machine-id/generate", "")
		w.want(made, http.StatusCreated, "")
		next := w.issuer().fileFor(1, made.body["machineId"].(string))
		testkit.Eventually(w.t, patience, func() error {
			if got := other.post("validate", device(key, "pc")); got.status != http.StatusForbidden {
				return fmt.Errorf("the other replica answers %d", got.status)
			}
			return nil
		})
		w.want(w.upload(next), http.StatusOK, "")
		testkit.Eventually(w.t, patience, func() error {
			if got := other.post("validate", device(key, "pc")); got.status != http.StatusOK {
				return fmt.Errorf("the other replica answers %d", got.status)
			}
			return nil
		})
	})
}

func TestWhoMayLicenseAnAppliance(t *testing.T) {
	eachAppliance(t, false, func(w *world) {
		as := func(values ...string) answer {
			req := httptest.NewRequest(http.MethodGet, "/api/v1/license/", nil)
			req.Header["Authorization"] = values
			return w.asked(w.public, req)
		}
		for _, good := range []string{"Token owner", "token owner", "TOKEN  owner "} {
			w.want(as(good), http.StatusOK, "")
		}
		for _, bad := range [][]string{
			nil, {""}, {"Token"}, {"Token "}, {"owner"}, {"Bearer owner"}, {"Token nobody"}, {"Token owner x"},
			{"Token owner", "Token owner"}, {"Token \x00owner"}, {"Token " + strings.Repeat("o", 600)},
		} {
			w.wantOwn(as(bad...), http.StatusUnauthorized, errcode.InvalidAdminKey)
		}
		for _, role := range []string{"viewer", "operator"} {
			w.wantOwn(as("Token "+role), http.StatusForbidden, errcode.RoleNotAllowed)
		}
		w.admins.away.Store(true)
		w.wantOwn(as("Token owner"), http.StatusBadGateway, errcode.ServiceUnavailable)
	})
}

// TestApplianceErrors have one form below the paths of the dialect, and none of the main API's paths has it.
func TestApplianceErrors(t *testing.T) {
	eachAppliance(t, false, func(w *world) {
		for _, path := range []string{"/api/v1/license", "/api/license/v1"} {
			at := func(method, rest, body string, headers ...string) answer {
				return w.ask(w.engine, method, path+rest, body,
					append([]string{"Authorization", "Token owner"}, headers...)...)
			}
			w.want(at(http.MethodGet, "", ""), http.StatusOK, "")
			w.want(at(http.MethodGet, "/status", ""), http.StatusOK, "")
			w.want(at(http.MethodPost, "/machine-id/generate/", ""), http.StatusCreated, "")
			w.wantOwn(at(http.MethodDelete, "/", ""), http.StatusMethodNotAllowed, errcode.MethodNotAllowed)
			w.wantOwn(at(http.MethodPost, "/upload/", ""), http.StatusMethodNotAllowed, errcode.MethodNotAllowed)
			w.wantOwn(at(http.MethodGet, "/machine-id/other", ""), http.StatusNotFound, errcode.NotFound)
			w.wantOwn(at(http.MethodPut, "/upload", "x"), http.StatusUnsupportedMediaType, errcode.UnsupportedMediaType)
			big, contentType := form(w.t, "x/y", "file", strings.Repeat("x", 64<<10))
			w.wantOwn(at(http.MethodPut, "/upload/", big, "Content-Type", contentType),
				http.StatusRequestEntityTooLarge, errcode.PayloadTooLarge)
		}
		w.want(w.call(http.MethodPost, "/api/v1/license/nothing", "{}"), http.StatusNotFound, errcode.NotFound)
		w.want(w.call(http.MethodGet, "/api/v1/license/validate", ""), http.StatusMethodNotAllowed,
			errcode.MethodNotAllowed)
	})
}

func TestUploadedForms(t *testing.T) {
	eachAppliance(t, false, func(w *world) {
		good := w.fileFor(1, w.machineID())
		put := func(label string, parts ...string) answer {
			body, contentType := form(w.t, label, parts...)
			return w.own(http.MethodPut, "/upload/", body, "Content-Type", contentType)
		}
		for _, label := range []string{"application/octet-stream", "multipart/form-data", "text/plain"} {
			w.want(put(label, "other", "x", "file", good), http.StatusOK, "")
		}
		mailed := "\ufeff" + strings.ReplaceAll(good, "\n", "\r\n") + " \r\n"
		w.want(put("text/plain", "file", mailed), http.StatusOK, "")
		body, contentType := form(w.t, "x/y", "file", good)
		for name, got := range map[string]answer{
			"no part":         put("x/y"),
			"no file":         put("x/y", "license", good),
			"two files":       put("x/y", "file", good, "file", good),
			"an empty file":   put("x/y", "file", ""),
			"an altered one":  put("x/y", "file", strings.Replace(good, "A", "B", 1)),
			"for any machine": put("x/y", "file", w.fileForAny()),
			"cut off":         w.own(http.MethodPut, "/upload", body[:len(body)-9], "Content-Type", contentType),
		} {
			if w.wantOwn(got, http.StatusBadRequest, errcode.ValidationError); got.status != http.StatusBadRequest {
				w.t.Errorf("%s: %d", name, got.status)
			}
		}
		w.wantStatus("VALID")
	})
}
