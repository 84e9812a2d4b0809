package license_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	"github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license"
)

// upstream is a license service that an appliance reaches at an address.
type upstream struct {
	*world
	url string
}

// eachCloud is an appliance that must be licensed, and an upstream whose root it knows.
func eachCloud(t *testing.T, test func(w *world, up *upstream)) {
	testkit.EachEngine(t, license.Migrations, func(t *testing.T, d *db.DB) {
		up := newWorld(t, testkit.SQLite(t, license.Migrations...))
		up.auth.limit = &authv1.RateLimit{}
		server := httptest.NewServer(up.engine)
		t.Cleanup(server.Close)
		w := newWorld(t, d, asAppliance(true), func(c *license.Config) {
			c.EdgePrivateUpstream, c.EdgeCheckEvery = true, time.Second
			c.EdgeRoots = licensefile.PublicPEM(up.root())
		})
		test(w, &upstream{up, server.URL})
	})
}

// account is the body of configure/cloud for a license of the upstream; more are further members.
func (up *upstream) account(key, more string) string {
	return fmt.Sprintf(`{"url":%q,"user":%q,"token":%q%s}`, up.url, key, up.auth.apiKey, more)
}

func (w *world) connect(body string) answer {
	w.t.Helper()
	return w.own(http.MethodPost, "/configure/cloud", body)
}

// seats are the machine ids that hold seats of a license, without repetitions.
func (up *upstream) seats(id string) (machines []string) {
	up.t.Helper()
	for _, d := range up.manage(http.MethodGet, "/"+id+"/devices", "").body["devices"].([]any) {
		if d := d.(map[string]any); d["is_active"] == true {
			machines = append(machines, d["hardware_id"].(string))
		}
	}
	return machines
}

// becomesStatus waits for a status.
func (w *world) becomesStatus(want string) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() error {
		w.clock.Advance(time.Second) // of the checks
		if got := w.own(http.MethodGet, "/status", ""); got.body["status"] != want {
			return fmt.Errorf("the status is %s, want %s", got.raw, want)
		}
		return nil
	})
}

// showsStatus waits for the metric that tells of a status, and of no other.
func (w *world) showsStatus(want string) {
	w.t.Helper()
	line := regexp.MustCompile(`latchkey_license_appliance_status\{.*status="([A-Z_]+)".*} 1\n`)
	testkit.Eventually(w.t, patience, func() error {
		rec := httptest.NewRecorder()
		w.sisters["license"].ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if found := line.FindAllStringSubmatch(rec.Body.String(), -1); len(found) != 1 || found[0][1] != want {
			return fmt.Errorf("the metrics show %q, want %s", found, want)
		}
		return nil
	})
}

func TestAnApplianceIsLicensedByAnUpstream(t *testing.T) {
	eachCloud(t, func(w *world, up *upstream) {
		id, key := up.create(1, 30)
		_, own := w.create(1, 0)
		machine := w.machineID()
		connected := w.connect(up.account(key, `,"timeout":10,"proxy_port":0,"proxy_host":null`))
		w.want(connected, http.StatusOK, "")
		if b := connected.body; b["status"] != "VALID" || b["serialNumber"] != id || b["machineId"] != machine ||
			b["licenseType"] != "TIME_LIMITED" || b["expiryDate"] == nil || b["version"] != 0.0 {
			w.t.Errorf("connected: %s", connected.raw)
		}
		if got := up.seats(id); len(got) != 1 || got[0] != machine {
			w.t.Errorf("seats %v, want %s", got, machine)
		}
		if entry := string(w.audited("appliance.configure_cloud").Data); strings.Contains(entry, key) ||
			strings.Contains(entry, up.auth.apiKey) || !strings.Contains(entry, up.url) {
			w.t.Errorf("audited %s", entry)
		}
		w.want(w.post("activate", device(own, "pc")), http.StatusCreated, "")

		suspend := up.manage(http.MethodPost, "/"+id+"/suspend", `{"reason":"unpaid"}`)
		w.want(suspend, http.StatusOK, "")
		w.becomesStatus("INVALID")
		w.want(w.post("validate", device(own, "pc")), http.StatusForbidden, errcode.ApplianceNotLicensed)
		w.showsStatus("INVALID")
		w.want(up.manage(http.MethodPost, "/"+id+"/reinstate", ""), http.StatusOK, "")
		w.becomesStatus("VALID")

		moved := w.own(http.MethodPost, "/machine-id/generate", "")
		w.want(moved, http.StatusCreated, "")
		w.wantStatus("VALID")
		if got := up.seats(id); len(got) != 1 || got[0] != moved.body["machineId"] {
			w.t.Errorf("seats %v, want %s", got, moved.raw)
		}
		up.clock.Advance(31 * 24 * time.Hour)
		w.becomesStatus("EXPIRED")
	})
}

// TestASeatIsGivenBackLater: the only seat is there for a machine id that was made while the upstream was away.
func TestASeatIsGivenBackLater(t *testing.T) {
	eachCloud(t, func(w *world, up *upstream) {
		var away atomic.Bool
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if away.Load() {
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			up.engine.ServeHTTP(rw, r)
		}))
		defer server.Close()
		up.url = server.URL
		id, key := up.create(1, 0)
		w.want(w.connect(up.account(key, "")), http.StatusOK, "")
		w.want(up.manage(http.MethodPost, "/"+id+"/suspend", `{"reason":"unpaid"}`), http.StatusOK, "")
		w.becomesStatus("INVALID")
		away.Store(true)
		made := w.own(http.MethodPost, "/machine-id/generate", "")
		w.want(made, http.StatusCreated, "")
		w.want(up.manage(http.MethodPost, "/"+id+"/reinstate", ""), http.StatusOK, "")
		away.Store(false)
		w.becomesStatus("VALID")
		if got := up.seats(id); len(got) != 1 || got[0] != made.body["machineId"] {
			w.t.Errorf("seats %v, want %s", got, made.raw)
		}
	})
}

// TestAnEndThatTheUpstreamSetIsShown: a license that was without end when it was asked for last, and has ended, is not
// shown as perpetual.
func TestAnEndThatTheUpstreamSetIsShown(t *testing.T) {
	eachCloud(t, func(w *world, up *upstream) {
		id, key := up.create(1, 0)
		connected := w.connect(up.account(key, ""))
		w.want(connected, http.StatusOK, "")
		if connected.body["licenseType"] != "PERPETUAL" || connected.body["expiryDate"] != nil {
			w.t.Errorf("connected: %s", connected.raw)
		}
		up.update(id, `{"expires_at":"2026-01-31"}`)
		w.becomesStatus("EXPIRED")
		if b := w.wantStatus("EXPIRED").body; b["licenseType"] != "TIME_LIMITED" || b["expiryDate"] != "2026-01-31" {
			w.t.Errorf("ended: %v", b)
		}
		up.update(id, `{"expires_at":null}`)
		w.becomesStatus("VALID")
		if b := w.wantStatus("VALID").body; b["licenseType"] != "PERPETUAL" || b["expiryDate"] != nil {
			w.t.Errorf("without end again: %v", b)
		}
	})
}

func TestRefusedAccountsChangeNothing(t *testing.T) {
	eachCloud(t, func(w *world, up *upstream) {
		_, key := up.create(1, 0)
		w.want(w.connect(up.account(key, "")), http.StatusOK, "")
		before := w.wantStatus("VALID")
		nobody := httptest.NewServer(nil)
		nobody.Close()
		noise := httptest.NewServer(http.HandlerFunc(func(c http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(c, "<html>")
		}))
		w.t.Cleanup(noise.Close)
		liar := httptest.NewServer(http.HandlerFunc(func(c http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(c, `{"valid":true,"license_id":%q,"product":"default"}`, before.body["serialNumber"])
		}))
		w.t.Cleanup(liar.Close)
		closed := httptest.NewServer(http.HandlerFunc(func(c http.ResponseWriter, _ *http.Request) {
			c.WriteHeader(http.StatusUnauthorized) // as the sign-in of a proxy in front of it
		}))
		w.t.Cleanup(closed.Close)
		at := func(url string) string { return strings.Replace(up.account(key, ""), up.url, url, 1) }
		reasons := map[string]string{
			at(nobody.URL): "connection_refused", at(noise.URL): "not_latchkey", at(closed.URL): "status_401",
		}
		for _, tt := range []struct {
			body   string
			status int
			code   string
		}{
			{up.account("LIC-000000000000", ""), http.StatusBadRequest, errcode.UpstreamRefused},
			{at(nobody.URL), http.StatusBadGateway, errcode.UpstreamUnavailable},
			{at(noise.URL), http.StatusBadGateway, errcode.UpstreamUnavailable},
			{at(closed.URL), http.StatusBadGateway, errcode.UpstreamUnavailable},
			{at(liar.URL), http.StatusBadRequest, errcode.UpstreamNotTrusted},
			{at(""), http.StatusBadRequest, errcode.ValidationError},
			{at("http://169.254.169.254"), http.StatusBadRequest, errcode.ValidationError},
			{at("file:///etc/passwd"), http.StatusBadRequest, errcode.ValidationError},
			{at("http://me:secret@" + strings.TrimPrefix(up.url, "http://")), http.StatusBadRequest,
				errcode.ValidationError},
			{up.account(key, `,"timeout":0`), http.StatusBadRequest, errcode.ValidationError},
			{up.account(key, `,"timeout":1001`), http.StatusBadRequest, errcode.ValidationError},
			{up.account(key, `,"timeout":99999999999999999999`), http.StatusBadRequest, errcode.ValidationError},
			{up.account(key, `,"timeout":"1"`), http.StatusBadRequest, errcode.ValidationError},
			{up.account(key, `,"proxy_host":"127.0.0.1"`), http.StatusBadRequest, errcode.ValidationError},
			{up.account(key, `,"proxy_host":"a/b","proxy_port":8080`), http.StatusBadRequest, errcode.ValidationError},
			{up.account(key, `,"proxy_port":8080`), http.StatusBadRequest, errcode.ValidationError},
			{up.account(strings.Repeat("x", 256), ""), http.StatusBadRequest, errcode.ValidationError},
			{strings.Replace(up.account("LIC", ""), "LIC", `a\u0000`, 1), http.StatusBadRequest,
				errcode.ValidationError},
			{`{}`, http.StatusBadRequest, errcode.ValidationError},
			{`[]`, http.StatusBadRequest, errcode.ValidationError},
			{`{"user":`, http.StatusBadRequest, errcode.ValidationError},
			{up.account(key, "") + "{}", http.StatusBadRequest, errcode.ValidationError},
		} {
			got := w.connect(tt.body)
			if w.wantOwn(got, tt.status, tt.code); strings.Contains(got.raw, up.auth.apiKey) {
				w.t.Errorf("%s shows the API key: %s", tt.body, got.raw)
			}
			if reason := reasons[tt.body]; reason != "" && !strings.Contains(got.raw, `"reason":"`+reason+`"`) {
				w.t.Errorf("%s: %s, want the reason %s", tt.body, got.raw, reason)
			}
		}
		if after := w.wantStatus("VALID"); after.raw != before.raw {
			w.t.Errorf("was %s, is %s", before.raw, after.raw)
		}
	})
}

// TestConnectingAtOnce: of accounts that are configured together one counts, whole, and the others hold no seats.
func TestConnectingAtOnce(t *testing.T) {
	eachCloud(t, func(w *world, up *upstream) {
		const accounts = 40
		machine := w.machineID()
		var ids, keys [accounts]string
		for i := range accounts {
			ids[i], keys[i] = up.create(1, 0)
		}
		var running sync.WaitGroup
		for _, key := range keys {
			running.Go(func() {
				if got := w.connect(up.account(key, "")); got.status != http.StatusOK {
					w.wantOwn(got, http.StatusBadGateway, errcode.ServiceUnavailable) // waited too long for its turn
				}
			})
		}
		running.Wait()
		winner := w.wantStatus("VALID").body["serialNumber"]
		for _, id := range ids {
			want := "[]"
			if id == winner {
				want = "[" + machine + "]"
			}
			if got := fmt.Sprint(up.seats(id)); got != want {
				w.t.Errorf("%s has the seats %s, want %s", id, got, want)
			}
		}
	})
}

// TestMachineIDsAtOnce: of machine ids that are generated together one counts, and it alone holds a seat.
func TestMachineIDsAtOnce(t *testing.T) {
	eachCloud(t, func(w *world, up *upstream) {
		id, key := up.create(50, 0)
		w.want(w.connect(up.account(key, "")), http.StatusOK, "")
		var running sync.WaitGroup
		for range 40 {
			running.Go(func() {
				if got := w.own(http.MethodPost, "/machine-id/generate", ""); got.status != http.StatusCreated {
					w.wantOwn(got, http.StatusBadGateway, errcode.ServiceUnavailable)
				}
			})
		}
		running.Wait()
		if got := up.seats(id); len(got) != 1 || got[0] != w.wantStatus("VALID").body["machineId"] {
			w.t.Errorf("seats %v, want that of %s", got, w.machineID())
		}
	})
}

// TestSecretsOfAnAccountAreSealed: the database has none of them.
func TestSecretsOfAnAccountAreSealed(t *testing.T) {
	eachCloud(t, func(w *world, up *upstream) {
		_, key := up.create(1, 0)
		w.want(w.connect(up.account(key, "")), http.StatusOK, "")
		var row map[string]any
		if err := w.db.Read(t.Context()).Table("installation").Take(&row).Error; err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%s %v", row["sealed"], row)
		for _, secret := range []string{key, up.auth.apiKey, up.url} {
			if strings.Contains(text, secret) {
				t.Errorf("the row has %q", secret)
			}
		}
		w.wantStatus("VALID")
		altered := strings.Replace(fmt.Sprint(row["heard"]), `"heard_at":"2`, `"heard_at":"3`, 1)
		err := w.db.Statement(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Table("installation").Where("id = 'license'").Update("heard", altered).Error
		})
		if err != nil || altered == fmt.Sprint(row["heard"]) {
			t.Fatal(err, altered)
		}
		w.wantStatus("UNLICENSED")
		w.want(w.connect(up.account(key, "")), http.StatusOK, "")
		w.wantStatus("VALID")
	})
}
