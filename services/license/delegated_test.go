package license_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-dev/latchkey/proto/errcode"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// delegation asks for what delegated keys have at admin.
func (w *world) delegation(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.ask(w.admin, method, "/api/v1/admin/delegated"+path, body, headers...)
}

// organisation makes one with so many credits.
func (w *world) organisation(credits int) (id string) {
	w.t.Helper()
	made := w.delegation(http.MethodPost, "/organisations", fmt.Sprintf(`{"name":"Doe","credits":%d}`, credits))
	w.must(made, http.StatusCreated)
	return made.body["organisation"].(string)
}

// master makes a master of an organisation for an operating system; more are further members.
func (w *world) master(organisation, operatingSystem, more string) answer {
	w.t.Helper()
	made := w.delegation(http.MethodPost, "/organisations/"+organisation+"/masters",
		`{"product":"default","operating_system":"`+operatingSystem+`"`+more+`}`)
	w.must(made, http.StatusCreated)
	return made
}

// masterKey is the key of a new master.
func (w *world) masterKey(organisation, operatingSystem string) string {
	w.t.Helper()
	return w.master(organisation, operatingSystem, "").body["master_key"].(string)
}

// slaveKey is the key of a new slave.
func (w *world) slaveKey(masterKey string) string {
	w.t.Helper()
	made := w.call(http.MethodPost, "/slaves", object("masterKey", masterKey))
	w.must(made, http.StatusOK)
	return made.body["key"].(string)
}

// object is a JSON object of texts.
func object(members ...string) string {
	var parts []string
	for i := 0; i < len(members); i += 2 {
		parts = append(parts, fmt.Sprintf("%q:%q", members[i], members[i+1]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (w *world) delegated(key, runtimeKey string) answer {
	w.t.Helper()
	return w.call(http.MethodPost, "/activate", object("masterOrSlaveKey", key, "runtimeKey", runtimeKey))
}

// wantRefused wants a refusal in the form of the protocol.
func (w *world) wantRefused(got answer, status int, code string) {
	w.t.Helper()
	if got.status != status || got.body["code"] != code || got.body["status"] != float64(status) ||
		len(got.body) != 3 || strings.Contains(got.raw, `"token":`) {
		w.t.Errorf("got %d %s, want %d %s", got.status, got.raw, status, code)
	}
}

// wantCredits wants an activation that leaves the organisation with these credits.
func (w *world) wantCredits(got answer, total, used int) (token string) {
	w.t.Helper()
	end := fmt.Sprintf(`,"totalCredit":%d,"usedCredit":%d}`, total, used)
	if got.status != http.StatusCreated || !strings.HasPrefix(got.raw, `{"token":"`) ||
		!strings.HasSuffix(got.raw, end) {
		w.t.Errorf("got %d %s, want a token and %s", got.status, got.raw, end)
		return ""
	}
	return got.body["token"].(string)
}

func TestADeviceIsChargedForOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		organisation := w.organisation(2)
		master := w.masterKey(organisation, "linux")
		slave := w.slaveKey(master)
		first := w.wantCredits(w.delegated(slave, "pc-1"), 2, 1)
		if again := w.wantCredits(w.delegated(slave, "pc-1"), 2, 1); again != first {
			t.Errorf("the second token is another: %s, %s", first, again)
		}
		w.wantRefused(w.delegated(slave, "pc-2"), http.StatusBadRequest, errcode.SlaveKeyUsed)
		w.wantCredits(w.delegated(master, "pc-1"), 2, 1)
		w.wantCredits(w.delegated(w.slaveKey(master), "pc-1"), 2, 1)
		w.wantCredits(w.delegated(master, "pc-2"), 2, 2)

		late := w.slaveKey(master)
		w.wantRefused(w.delegated(late, "pc-3"), http.StatusBadRequest, errcode.CreditExhausted)
		w.wantCredits(w.delegated(slave, "pc-1"), 2, 2) // costs nothing, so it works with an empty balance
		w.want(w.delegation(http.MethodPost, "/organisations/"+organisation+"/credits",
			`{"amount":1,"reason":"invoice 7"}`), http.StatusOK, "")
		w.wantCredits(w.delegated(late, "pc-3"), 3, 3) // the refusal has not frozen it to another device
	})
}

func TestKeysAreOfTheLengthsThatClientsKnow(t *testing.T) {
	eachWorld(t, func(w *world) {
		organisation := w.organisation(1)
		made := w.master(organisation, "linux", "")
		master := made.body["master_key"].(string)
		slave := w.call(http.MethodPost, "/slaves/", object("masterKey", master, "comment", "to X on 05/07/19"))
		w.want(slave, http.StatusOK, "")
		want := fmt.Sprintf(`{"organisation":%q,"master":%q,"used":false,"createDate":%d,"key":%q}`,
			organisation, made.body["master"], w.clock.Now().UnixMilli(), slave.body["key"])
		if slave.raw != want {
			t.Errorf("got  %s\nwant %s", slave.raw, want)
		}
		if len(master) != 60 || len(slave.body["key"].(string)) != 140 || len(organisation) != 24 {
			t.Errorf("lengths: %q, %q, %q", master, slave.body["key"], organisation)
		}
		got := w.call(http.MethodPost, "/activate/", object("masterOrSlaveKey", master, "runtimeKey", "pc-1"))
		if _, err := base64.StdEncoding.DecodeString(w.wantCredits(got, 1, 1)); err != nil {
			t.Error(err)
		}
	})
}

func TestDelegatedKeysTakeSeatsOfALicense(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		made := w.master(w.organisation(9), "linux", `,"license_id":"`+id+`"`)
		master := made.body["master_key"].(string)
		w.wantCredits(w.delegated(master, "pc-1"), 9, 1)
		w.want(w.post("validate", device(key, "pc-1")), http.StatusOK, "")
		e := w.eventually(eventsv1.TypeLicenseDelegated)
		if !strings.Contains(string(e.Data), made.body["master"].(string)) {
			t.Errorf("the event: %s", e.Data)
		}
		w.wantRefused(w.delegated(master, "pc-2"), http.StatusBadRequest, errcode.DeviceLimitExceeded)
		// The token has no end, so that the device cannot leave its seat to another.
		w.want(w.post("deactivate", device(key, "pc-1")), http.StatusConflict, errcode.OfflineTokenActive)
		for change, code := range map[string]string{
			`{"offline_activation":false}`:               errcode.OfflineNotAllowed,
			`{"expires_at":"2020-01-01T00:00:00Z"}`:      errcode.LicenseExpired,
			`{"is_active":false,"expires_at":null}`:      errcode.LicenseInactive,
			`{"networks":{"deny":["0.0.0.0/0","::/0"]}}`: errcode.EnvironmentForbidden,
		} {
			w.want(w.manage(http.MethodPatch, "/"+id, change), http.StatusOK, "")
			w.wantRefused(w.delegated(master, "pc-1"), http.StatusBadRequest, code)
			w.want(w.manage(http.MethodPatch, "/"+id,
				`{"offline_activation":true,"expires_at":null,"is_active":true,"networks":null}`), http.StatusOK, "")
		}
		w.want(w.manage(http.MethodPost, "/"+id+"/suspend", `{"reason":"unpaid"}`), http.StatusOK, "")
		w.wantRefused(w.delegated(master, "pc-1"), http.StatusBadRequest, errcode.LicenseSuspended)
	})
}

func TestAMasterIsForOneProductAndOperatingSystem(t *testing.T) {
	eachWorld(t, func(w *world) {
		organisation := w.organisation(9)
		linux, windows := w.masterKey(organisation, "linux"), w.masterKey(organisation, "windows")
		w.wantCredits(w.delegated(linux, "pc-1"), 9, 1)
		w.wantRefused(w.delegated(windows, "pc-1"), http.StatusBadRequest, errcode.RuntimeKeyMismatch)
		w.wantCredits(w.delegated(windows, "pc-2"), 9, 2)
		w.want(w.delegation(http.MethodPost, "/organisations/"+organisation+"/masters",
			`{"product":"default","operating_system":"linux"}`), http.StatusConflict, errcode.MasterExists)
	})
}

func TestRevokedKeysActivateNothing(t *testing.T) {
	eachWorld(t, func(w *world) {
		organisation := w.organisation(9)
		made := w.master(organisation, "linux", "")
		master := made.body["master_key"].(string)
		slave, other := w.slaveKey(master), w.slaveKey(master)
		w.wantCredits(w.delegated(slave, "pc-1"), 9, 1)
		listed := w.delegation(http.MethodGet, "/organisations/"+organisation+"/slaves", "")
		w.want(listed, http.StatusOK, "")
		if strings.Contains(listed.raw, slave) || listed.body["total"] != 2.0 {
			t.Errorf("slaves: %s", listed.raw)
		}
		for _, s := range listed.body["slaves"].([]any) {
			if s := s.(map[string]any); s["used"] == true {
				w.want(w.delegation(http.MethodDelete, "/slaves/"+s["slave"].(string), ""), http.StatusOK, "")
				w.want(w.delegation(http.MethodDelete, "/slaves/"+s["slave"].(string), ""), http.StatusOK, "")
			}
		}
		w.wantRefused(w.delegated(slave, "pc-1"), http.StatusBadRequest, errcode.DelegatedKeyInvalid)
		w.wantCredits(w.delegated(other, "pc-2"), 9, 2)
		w.want(w.delegation(http.MethodDelete, "/masters/"+made.body["master"].(string), ""), http.StatusOK, "")
		for _, key := range []string{master, other} {
			w.wantRefused(w.delegated(key, "pc-2"), http.StatusBadRequest, errcode.DelegatedKeyInvalid)
		}
		w.wantRefused(w.call(http.MethodPost, "/slaves", object("masterKey", master)), http.StatusBadRequest,
			errcode.DelegatedKeyInvalid)
		// The master in its place has the same license, and charges for no device twice.
		again := w.master(organisation, "linux", "")
		if again.body["license_id"] != made.body["license_id"] {
			t.Errorf("another license: %s, %s", made.raw, again.raw)
		}
		w.wantCredits(w.delegated(again.body["master_key"].(string), "pc-1"), 9, 2)
	})
}

func TestActivationByALink(t *testing.T) {
	eachWorld(t, func(w *world) {
		organisation := w.organisation(9)
		master := w.masterKey(organisation, "linux")
		slave := w.slaveKey(master)
		link := func(key, runtimeKey string) answer {
			return w.call(http.MethodGet, "/activate?slaveKey="+key+"&runtimeKey="+runtimeKey, "")
		}
		escaped := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(slave)
		w.wantCredits(link(escaped, "pc%2B1"), 9, 1)
		w.wantCredits(link(slave, "pc+1"), 9, 1) // a plus that nobody escaped
		w.wantCredits(w.delegated(slave, "pc+1"), 9, 1)
		w.wantRefused(link(slave, "pc-2"), http.StatusBadRequest, errcode.SlaveKeyUsed)
		w.wantRefused(link(strings.ReplaceAll(master, "+", "%2B"), "pc-3"), http.StatusBadRequest,
			errcode.DelegatedKeyInvalid)
		for _, query := range []string{"", "?slaveKey=" + escaped, "?runtimeKey=x", "?slaveKey=%zz&runtimeKey=x",
			"?slaveKey=" + escaped + "&runtimeKey=a&runtimeKey=b", "?slaveKey=" + escaped + "&runtimeKey=%00"} {
			w.wantRefused(w.call(http.MethodGet, "/activate"+query, ""), http.StatusBadRequest, errcode.ValidationError)
		}
	})
}

func TestRefusalsHaveTheFormOfTheProtocol(t *testing.T) {
	eachWorld(t, func(w *world) {
		master := w.masterKey(w.organisation(9), "linux")
		unknown := base64.StdEncoding.EncodeToString(make([]byte, 43))
		for _, tt := range []struct {
			request, body string
			status        int
			code          string
		}{
			{"POST /slaves", `{"masterKey":"` + master + `","comment":"a "quoted" word"}`, 400,
				errcode.ValidationError},
			{"POST /slaves", ``, 400, errcode.ValidationError},
			{"POST /slaves", `{}`, 400, errcode.ValidationError},
			{"POST /slaves", `{"masterKey":7}`, 400, errcode.ValidationError},
			{"POST /slaves", object("masterKey", unknown), 400, errcode.DelegatedKeyInvalid},
			{"POST /slaves", object("masterKey", "x"), 400, errcode.DelegatedKeyInvalid},
			{"POST /slaves", object("masterKey", w.slaveKey(master)), 400, errcode.DelegatedKeyInvalid},
			{"POST /slaves", object("masterKey", master, "comment", strings.Repeat("x", 1001)), 400,
				errcode.ValidationError},
			{"POST /activate", object("masterOrSlaveKey", unknown, "runtimeKey", "pc-1"), 400,
				errcode.DelegatedKeyInvalid},
			{"POST /activate", object("masterOrSlaveKey", master), 400, errcode.ValidationError},
			{"POST /activate", object("masterOrSlaveKey", master, "runtimeKey", strings.Repeat("x", 256)), 400,
				errcode.ValidationError},
			{"POST /activate", object("masterOrSlaveKey", master, "runtimeKey", "unknown"), 400,
				errcode.HardwareIDNotUnique},
			{"POST /activate", strings.Repeat(" ", 16<<10) + "{}", 413, errcode.PayloadTooLarge},
			{"GET /slaves", ``, 405, errcode.MethodNotAllowed},
			{"DELETE /activate", ``, 405, errcode.MethodNotAllowed},
			{"POST /activate/more", ``, 404, errcode.NotFound},
			{"GET /slaves/x", ``, 404, errcode.NotFound},
		} {
			method, path, _ := strings.Cut(tt.request, " ")
			got := w.ask(w.engine, method, path, tt.body)
			if got.status != tt.status || got.body["code"] != tt.code {
				t.Errorf("%s %.80s:", tt.request, tt.body)
			}
			w.wantRefused(got, tt.status, tt.code)
		}
	})
}

func TestFortyActivationsAtOnceAreChargedExactly(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		organisation := w.organisation(10)
		master := w.masterKey(organisation, "linux")
		slave := w.slaveKey(master)
		both := []*world{w, w.replica()}
		var mu sync.Mutex
		good, refused := 0, 0
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				key, runtimeKey := master, fmt.Sprintf("pc-%d", i/2) // each device twice, at both processes
				if i >= 36 {
					key, runtimeKey = slave, "slave"
				}
				got := w.persist(func() answer { return both[i%2].delegated(key, runtimeKey) })
				mu.Lock()
				defer mu.Unlock()
				switch {
				case got.status == http.StatusCreated:
					good++
				case got.body["code"] == errcode.CreditExhausted:
					refused++
				default:
					t.Errorf("%d %s", got.status, got.raw)
				}
			})
		}
		all.Wait()
		o := w.delegation(http.MethodGet, "/organisations/"+organisation, "").body
		charges := w.delegation(http.MethodGet, "/organisations/"+organisation+"/charges?per_page=100", "").body
		if o["used_credit"] != 10.0 || charges["total"] != 11.0 || good+refused != 40 || good < 10 {
			t.Errorf("%v, %v charges, %d good, %d refused", o, charges["total"], good, refused)
		}
		seen := map[any]bool{}
		for _, c := range charges["charges"].([]any) {
			c := c.(map[string]any)
			if device := c["runtime_key"]; device != nil && seen[device] {
				t.Errorf("%v was charged for twice", device)
			}
			seen[c["runtime_key"]] = true
		}
	})
}
