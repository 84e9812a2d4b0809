package license_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

// leaving are the ways in which a device loses its seat, and comes back to it.
var leaving = map[string]struct {
	leave, comeBack func(w *world, id, key string)
}{
	"deactivated by the administrator": {
		leave: func(w *world, id, _ string) { w.deactivate(id, "pc") },
		comeBack: func(w *world, _, key string) {
			w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
		},
	},
	"transferred away and back": {
		leave:    func(w *world, id, _ string) { w.transfer(id, "pc", "other") },
		comeBack: func(w *world, id, _ string) { w.transfer(id, "other", "pc") },
	},
	"license deactivated and reactivated": {
		leave: func(w *world, id, _ string) {
			w.update(id, `{"is_active":false}`)
		},
		comeBack: func(w *world, id, _ string) {
			w.update(id, `{"is_active":true}`)
		},
	},
}

func (w *world) deactivate(id, hardwareID string) {
	w.t.Helper()
	w.want(w.manage(http.MethodPost, "/"+id+"/devices/deactivate", `{"hardware_id":"`+hardwareID+`"}`), http.StatusOK,
		"")
}

func (w *world) transfer(id, from, to string) {
	w.t.Helper()
	w.want(w.manage(http.MethodPost, "/"+id+"/transfer", `{"from_hardware_id":"`+from+`","to_hardware_id":"`+to+`"}`),
		http.StatusOK, "")
}

// held are the tokens of a device, and every way to present them.
type held struct {
	access  []string
	offline string
	version int32
}

func (w *world) hold(id, hardwareID string) held {
	w.t.Helper()
	h := held{access: w.bearer(id, hardwareID)}
	h.offline = w.call(http.MethodPost, "/api/v1/license/offline-token", `{"duration_hours":24}`,
		h.access...).body["token"].(string)
	seat, err := w.asAuth.CheckDevice(w.t.Context(),
		connect.NewRequest(&licensev1.CheckDeviceRequest{LicenseId: id, HardwareId: hardwareID}))
	if err != nil {
		w.t.Fatal(err)
	}
	h.version = seat.Msg.GetLicenseVersion()
	return h
}

// present tells how each way was answered: the code, or OK.
func (w *world) present(h held, id, hardwareID string) string {
	w.t.Helper()
	answers := []string{
		w.outcome(w.call(http.MethodPost, "/api/v1/license/heartbeat", "", h.access...)),
		w.outcome(w.call(http.MethodPost, "/api/v1/license/offline-token", `{"duration_hours":1}`, h.access...)),
		w.outcome(w.call(http.MethodPost, "/api/v1/license/validate-offline", fmt.Sprintf(`{"token":%q}`, h.offline))),
	}
	_, err := w.asAuth.CheckDevice(w.t.Context(), connect.NewRequest(
		&licensev1.CheckDeviceRequest{LicenseId: id, HardwareId: hardwareID, LicenseVersion: &h.version}))
	if err == nil {
		return strings.Join(append(answers, "OK"), " ")
	}
	return strings.Join(append(answers, refused[licensev1.CheckDeviceResponse](nil, err)), " ")
}

func (w *world) outcome(a answer) string {
	if a.status < 300 {
		return "OK"
	}
	return fmt.Sprint(a.body["error_code"])
}

// TestTokensOfASeatThatWasLeft: they are refused while the device is away, and permanently when it comes back; also by
// a replica that learns of nothing, once its memory has ended. Nor do they keep the device from leaving again. Tokens
// issued afterwards hold.
func TestTokensOfASeatThatWasLeft(t *testing.T) {
	const holds, dead = "OK OK OK OK", "INVALID_TOKEN INVALID_TOKEN INVALID_TOKEN INVALID_TOKEN"
	for name, way := range leaving {
		t.Run(name, func(t *testing.T) {
			eachWorld(t, func(w *world) {
				w.auth.limit = nil
				deaf := w.replicaOn(deafBus{w.bus.Bus})
				id, key := w.create(1, 30)
				w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
				old := w.hold(id, "pc")
				expect := func(h held, want string) {
					w.t.Helper()
					for process, at := range map[string]*world{"here": w, "without the bus": deaf} {
						if got := at.present(h, id, "pc"); got != want {
							w.t.Errorf("%s: %s, want %s", process, got, want)
						}
					}
				}
				expect(old, holds)
				way.leave(w, id, key)
				w.clock.Advance(5 * time.Second) // as long as a replica remembers that learns of nothing
				if got := w.present(old, id, "pc"); slices.Contains(strings.Fields(got), "OK") {
					w.t.Errorf("while it is away: %s", got)
				}
				way.comeBack(w, id, key)
				w.clock.Advance(5 * time.Second)
				expect(old, dead)
				w.want(w.post("deactivate", device(key, "pc")), http.StatusOK, "")
				w.want(w.post("activate", device(key, "pc")), http.StatusCreated, "")
				w.clock.Advance(5 * time.Second)
				expect(w.hold(id, "pc"), holds)
				w.want(w.post("deactivate", device(key, "pc")), http.StatusConflict, "OFFLINE_TOKEN_ACTIVE")
			})
		})
	}
}
