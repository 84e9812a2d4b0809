package license_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/proto/errcode"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// wantNamed wants the revocation list to name these devices, which are in order, and nobody else.
func (w *world) wantNamed(hardwareIDs ...string) {
	w.t.Helper()
	var got []string
	for _, e := range w.revocations(0).Revoked {
		got = append(got, e.Device)
		for _, id := range hardwareIDs {
			if e.Device == file.DeviceHash(e.LicenseID, id) {
				got[len(got)-1] = id
			}
		}
	}
	if slices.Sort(got); !slices.Equal(got, hardwareIDs) {
		w.t.Errorf("the revocation list names %q, want %q", got, hardwareIDs)
	}
}

// held refuses what a device got under another id, and tells until when.
func (w *world) held(got, until answer) {
	w.t.Helper()
	w.want(got, http.StatusConflict, errcode.OfflineTokenActive)
	details, _ := got.body["details"].(map[string]any)
	if details["offline_token_expires_at"] != until.body["expires_at"] {
		w.t.Errorf("%s, want until %v", got.raw, until.body["expires_at"])
	}
}

// TestOneSeatServesOneMachineOffline: a device that calls itself otherwise, by its components or without them, gets
// nothing for use without the server while it holds the previous one.
func TestOneSeatServesOneMachineOffline(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"max_devices":1,"device_match":"any","max_offline_hours":720`)
		c := components("a", "b", "c")
		first := w.post("license-file", says(key, "machine-0", c))
		w.want(first, http.StatusCreated, "")
		w.clock.Advance(time.Second)
		w.held(w.post("license-file", says(key, "machine-1", c)), first)
		w.want(w.post("license-file", says(key, "machine-0", c)), http.StatusCreated, "")
		second := w.post("license-file", says(key, "machine-0", c))
		if got := w.post("validate", says(key, "machine-1", c)); got.body["valid"] != true {
			t.Errorf("online it goes on: %s", got.raw)
		}
		w.held(w.post("license-file", device(key, "machine-1")), second)
		access := w.bearer(id, "machine-1")
		w.held(w.call(http.MethodPost, "/api/v1/license/offline-token", "", access...), second)
		w.held(w.manage(http.MethodPost, "/"+id+"/license-file", `{"hardware_ids":["machine-1"]}`), second)
		w.agrees(w.explain(says(key, "machine-1", map[string]any{"operation": "file"})),
			w.post("license-file", device(key, "machine-1")))
		// Under the id for which it got the file, it gets another.
		w.want(w.post("license-file", device(key, "machine-0")), http.StatusCreated, "")

		w.deactivate(id, "machine-1")
		w.wantNamed("machine-0")
		stolen := file.Check{
			Root: w.root(), Product: "default", HardwareID: "machine-0", Now: w.clock.Now(), Revoked: w.revocations(0),
		}
		text := []byte(second.body["license_file"].(string))
		if _, err := file.Verify(text, stolen); !errors.Is(err, file.ErrRevoked) {
			t.Errorf("the previous file: %v", err)
		}
		// The device comes back under its new id, and the old one stays on the list.
		w.want(w.post("activate", says(key, "machine-1", c)), http.StatusCreated, "")
		w.wantNamed("machine-0")
		w.want(w.post("license-file", says(key, "machine-1", c)), http.StatusCreated, "")
		w.deactivate(id, "machine-1")
		w.wantNamed("machine-0", "machine-1")
		// It comes back under a third id.
		w.want(w.post("license-file", says(key, "machine-2", c)), http.StatusCreated, "")
		w.wantNamed("machine-0", "machine-1")
		w.inUse(id, 1)
		w.clock.Advance(721 * time.Hour)
		w.wantNamed()
		w.want(w.post("license-file", says(key, "machine-3", c)), http.StatusCreated, "")
	})
}

// TestAnAliasGetsWhatItIsCalled: a former id that asks for a file gets one of its own, and then only that.
func TestAnAliasGetsWhatItIsCalled(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"max_devices":1,"device_match":"any"`)
		c := components("a", "b", "c")
		w.want(w.post("activate", says(key, "before", c)), http.StatusCreated, "")
		w.want(w.post("validate", says(key, "after", c)), http.StatusOK, "")
		got := w.post("license-file", device(key, "before"))
		w.want(got, http.StatusCreated, "")
		w.held(w.post("license-file", device(key, "after")), got)
		w.deactivate(id, "after")
		w.wantNamed("before")
		w.want(w.post("activate", device(key, "other")), http.StatusCreated, "")
		w.transfer(id, "other", "after")
		w.wantNamed("before")
	})
}

// TestOfflineDevicesOfLicenseSpringAreGivenBack: anyone who takes and gives back a seat again and again leaves nothing
// on the revocation list, and no device that is never forgotten.
func TestOfflineDevicesOfLicenseSpringAreGivenBack(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		s := w.licenseSpring("")
		id, key := w.with(`"max_devices":1`)
		for i := range 20 {
			pc := fmt.Sprintf("pc-%0200d", i)
			s.object(s.carry("activate_offline", s.offline(key, pc, "", true)))
			s.word(s.carry("deactivate_offline", s.offline(key, pc, `,"request":"deactivation"`, true)),
				"license_deactivated")
		}
		w.inUse(id, 0)
		w.wantNamed()
		list := w.call(http.MethodGet, "/api/v1/license/revocations", "", "X-API-Key", w.auth.apiKey)
		if n := len(fmt.Sprint(list.body["signed_list"])); n > 4<<10 {
			t.Errorf("the list of nobody has %d bytes", n)
		}
		held := func() (n int64) {
			err := w.db.Read(t.Context()).Table("devices").
				Where("offline_until IS NOT NULL OR offline_horizon IS NOT NULL").Count(&n).Error
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := held(); n != 0 {
			t.Errorf("%d devices hold what was given back", n)
		}
		// What an administrator ends is listed, for ten years at most.
		s.object(s.carry("activate_offline", s.offline(key, "lost", "", true)))
		w.deactivate(id, "lost")
		w.wantNamed("lost")
		w.clock.Advance(10*365*24*time.Hour + time.Second)
		w.wantNamed()
	})
}
