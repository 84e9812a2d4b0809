package license_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"gorm.io/gorm"

	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// revocations is the list, or the changes after since; nil for 304.
func (w *world) revocations(since int64) *file.Revocations {
	w.t.Helper()
	path := fmt.Sprintf("/api/v1/license/revocations?since=%d", since)
	req := httptest.NewRequest(http.MethodGet, path, nil)
	req.Header.Set("X-API-Key", w.auth.apiKey)
	rec := httptest.NewRecorder()
	w.public.ServeHTTP(rec, req)
	if rec.Code == http.StatusNotModified {
		return nil
	}
	var body struct {
		SignedList string `json:"signed_list"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || rec.Code != http.StatusOK {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	list, err := file.OpenRevocations(w.root(), []byte(body.SignedList))
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func TestRevocationList(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(w.call(http.MethodGet, "/api/v1/license/revocations", ""), http.StatusUnauthorized, "INVALID_API_KEY")
		w.want(w.call(http.MethodGet, "/api/v1/license/revocations?since=x", "", "X-API-Key", w.auth.apiKey), 400,
			"VALIDATION_ERROR")
		id, key := w.create(3, 0)
		other, _ := w.create(1, 0)
		issued := w.post("license-file", device(key, "pc-1"))
		w.want(w.post("license-file", device(key, "pc-2")), http.StatusCreated, "")
		first := w.revocations(0)
		if len(first.Revoked) != 0 || !first.NextUpdate.Equal(first.IssuedAt.Add(24*time.Hour)) {
			t.Fatalf("nobody was revoked, and the next list comes in a day: %+v", first)
		}
		if w.revocations(first.Number) != nil {
			t.Error("no change, and yet a list")
		}
		// A license of which nobody holds anything is not on the list.
		w.want(w.manage(http.MethodDelete, "/"+other, ""), http.StatusOK, "")
		if w.revocations(first.Number) != nil {
			t.Error("a license without offline use is on the list")
		}

		w.want(w.manage(http.MethodPost, "/"+id+"/devices/deactivate", `{"hardware_id":"pc-1"}`), http.StatusOK, "")
		second := w.revocations(first.Number)
		if len(second.Revoked) != 1 || second.Revoked[0].Device != file.DeviceHash(id, "pc-1") ||
			second.Number <= first.Number {
			t.Fatalf("after a device left: %+v", second)
		}
		check := file.Check{
			Root:       w.root(),
			Product:    "default",
			HardwareID: "pc-1",
			Now:        w.clock.Now(),
			Revoked:    first.Apply(second),
		}
		if _, err := file.Verify([]byte(issued.body["license_file"].(string)),
			check); !errors.Is(err, file.ErrRevoked) {
			t.Errorf("the file of a device that left: %v", err)
		}

		w.want(w.manage(http.MethodDelete, "/"+id, ""), http.StatusOK, "")
		third := w.revocations(second.Number)
		if !slices.ContainsFunc(third.Revoked, func(e file.Revocation) bool {
			return e.LicenseID == id && e.Device == ""
		}) {
			t.Errorf("after the license was deactivated: %+v", third)
		}
		w.update(id, `{"is_active":true}`)
		fourth := w.revocations(second.Number)
		if !slices.ContainsFunc(fourth.Reinstated, func(e file.Revocation) bool {
			return e.LicenseID == id && e.Device == ""
		}) {
			t.Errorf("after it was reactivated: %+v", fourth)
		}
		if list := third.Apply(w.revocations(third.Number)); len(list.Revoked) != 1 || list.Number != fourth.Number {
			t.Errorf("for a machine that has the list of the deactivated license: %+v", list)
		}
		// Once nothing that was given out is good any more, nobody has to be named.
		w.clock.Advance(31 * 24 * time.Hour)
		if whole := w.revocations(0); len(whole.Revoked) != 0 {
			t.Errorf("after the files ended: %+v", whole)
		}
	})
}

// A database that was restored from a backup does not know the lists that machines got since; what it revokes then
// reaches them, and what it does not know of leaves their lists.
func TestRevocationListAfterARestore(t *testing.T) {
	eachWorld(t, func(w *world) {
		ids := make([]string, 4)
		for i := range ids {
			id, key := w.create(1, 0)
			w.want(w.post("license-file", device(key, "pc")), http.StatusCreated, "")
			ids[i] = id
		}
		suspend := func(id string) {
			w.want(w.manage(http.MethodPost, "/"+id+"/suspend", `{"reason":"stolen"}`), http.StatusOK, "")
			w.clock.Advance(time.Minute)
		}
		suspend(ids[0])
		backup := w.revocations(0)
		suspend(ids[1])
		suspend(ids[2])
		machine := w.revocations(0)
		for _, lost := range []string{"UPDATE licenses SET suspended_at = NULL WHERE id IN ?",
			"DELETE FROM revocations WHERE license_id IN ?"} {
			w.exec(lost, ids[1:3])
		}
		w.exec("UPDATE revocation_list SET number = ?", backup.Number)
		w.clock.Advance(time.Minute)

		restored := machine.Apply(w.revocations(machine.Number))
		if len(restored.Revoked) != 1 || restored.Revoked[0].LicenseID != ids[0] {
			t.Errorf("after the restore: %+v", restored)
		}
		suspend(ids[3])
		for name, had := range map[string]*file.Revocations{"the list before": machine, "that after": restored} {
			list := had.Apply(w.revocations(had.Number))
			var named []string
			for _, e := range list.Revoked {
				named = append(named, e.LicenseID)
			}
			slices.Sort(named)
			if want := slices.Sorted(slices.Values([]string{ids[0], ids[3]})); !slices.Equal(named, want) ||
				list.Number <= machine.Number {
				t.Errorf("number %d of a machine with %s names %q, want %q", list.Number, name, named, want)
			}
		}
	})
}

// Who left the list so long ago that it was forgotten leaves the lists of machines, too, also where another license
// that came before is still on it.
func TestRevocationListForgets(t *testing.T) {
	eachWorld(t, func(w *world) {
		ids := make([]string, 3)
		for i := range ids {
			id, key := w.create(1, 0)
			w.want(w.post("license-file", device(key, "pc")), http.StatusCreated, "")
			ids[i] = id
		}
		change := func(id, action, body string) *file.Revocations {
			w.want(w.manage(http.MethodPost, "/"+id+"/"+action, body), http.StatusOK, "")
			w.clock.Advance(time.Minute)
			return w.revocations(0)
		}
		left, stays, later := ids[0], ids[1], ids[2]
		change(left, "suspend", `{"reason":"unpaid"}`)
		machine := change(stays, "suspend", `{"reason":"stolen"}`)
		forgotten := change(left, "reinstate", "")
		w.exec("DELETE FROM revocations WHERE license_id = ?", left)
		w.exec("UPDATE revocation_list SET pruned = ?", forgotten.Number)
		change(later, "suspend", `{"reason":"stolen"}`)
		for _, e := range machine.Apply(w.revocations(machine.Number)).Revoked {
			if e.LicenseID == left {
				t.Errorf("a machine keeps a license on its list that left it: %+v", e)
			}
		}
	})
}

// exec changes the database behind the back of the service.
func (w *world) exec(statement string, args ...any) {
	w.t.Helper()
	err := w.db.Tx(w.t.Context(), func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(statement, args...).Error
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
