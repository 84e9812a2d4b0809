package license_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// root is what an application pins.
func (w *world) root() ed25519.PublicKey {
	w.t.Helper()
	got := w.call(http.MethodGet, "/api/v1/license/keys", "")
	w.must(got, http.StatusOK)
	root, err := file.ParsePublicPEM([]byte(got.body["root"].(map[string]any)["public_key_pem"].(string)))
	if err != nil {
		w.t.Fatal(err)
	}
	return root
}

// verify checks a file as a machine without a network does.
func (w *world) verify(root ed25519.PublicKey, got answer, hardwareID string) (*file.Payload, error) {
	w.t.Helper()
	text, _ := got.body["license_file"].(string)
	return file.Verify([]byte(text), file.Check{
		Root:       root,
		Product:    "default",
		HardwareID: hardwareID,
		Now:        w.clock.Now(),
	})
}

func TestLicenseFiles(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 10)
		root := w.root()

		got := w.post("license-file", `{"license_key":"`+key+`","hardware_id":"pc-1","nonce":"n-1"}`)
		w.want(got, http.StatusCreated, "")
		p, err := w.verify(root, got, "pc-1")
		if err != nil || p.Nonce != "n-1" || p.License.LicenseID != id || p.License.Terms["max_devices"] != 2.0 {
			t.Fatalf("%+v, %v", p, err)
		}
		if _, err := w.verify(root, got, "pc-2"); !errors.Is(err, file.ErrMachine) {
			t.Errorf("another machine: %v", err)
		}
		if end := w.clock.Now().Add(10 * 24 * time.Hour); p.ExpiresAt.After(end) {
			t.Errorf("the file outlives its license: %v after %v", p.ExpiresAt, end)
		}
		// The file took a seat, which cannot be left while the file is good.
		w.want(w.post("activate", device(key, "pc-1")), http.StatusConflict, "ALREADY_ACTIVATED")
		w.want(w.post("deactivate", device(key, "pc-1")), http.StatusConflict, "OFFLINE_TOKEN_ACTIVE")
		w.want(w.manage(http.MethodPost, "/"+id+"/license-file", `{"hardware_ids":["pc-2","pc-3"]}`),
			http.StatusForbidden, "DEVICE_LIMIT_EXCEEDED")
		if n := w.get(id)["current_devices"]; n != 1.0 {
			t.Errorf("a refused file took seats: %v", n)
		}
		w.want(w.manage(http.MethodPost, "/"+id+"/license-file", `{"hardware_ids":["pc-2"],"valid_hours":87600}`),
			http.StatusCreated, "")

		whole := w.manage(http.MethodPost, "/"+id+"/license-file", "")
		w.want(whole, http.StatusCreated, "")
		if _, err := w.verify(root, whole, "any-machine"); err != nil {
			t.Errorf("a file for any machine: %v", err)
		}
		e := w.await(func(e event.Event) bool { return e.Type == "license.file_issued" })
		if e.Subject != id {
			t.Errorf("event about %s", e.Subject)
		}
	})
}

func TestEncryptedLicenseFile(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		got := w.post("license-file", `{"license_key":"`+key+`","hardware_id":"pc-1","encrypt":true}`)
		w.want(got, http.StatusCreated, "")
		if _, err := w.verify(w.root(), got, "pc-1"); !errors.Is(err, file.ErrKey) {
			t.Errorf("without the license key: %v", err)
		}
		check := file.Check{Root: w.root(), Product: "default", HardwareID: "pc-1", LicenseKey: key, Now: w.clock.Now()}
		if _, err := file.Verify([]byte(got.body["license_file"].(string)), check); err != nil {
			t.Error(err)
		}
	})
}

func TestLicenseFileRefusals(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		w.update(id, `{"max_offline_hours":48}`)
		for _, tt := range []struct {
			name, body string
			status     int
			code       string
		}{
			{"no key", `{"hardware_id":"pc"}`, 400, "VALIDATION_ERROR"},
			{"unknown key", device("LIC-UNKNOWN", "pc"), 404, "LICENSE_NOT_FOUND"},
			{"a placeholder", device(key, "None"), 400, "HARDWARE_ID_NOT_UNIQUE"},
			{"too long", `{"license_key":"` + key + `","hardware_id":"pc","valid_hours":49}`, 400, "VALIDATION_ERROR"},
			{"no hours", `{"license_key":"` + key + `","hardware_id":"pc","valid_hours":0}`, 400, "VALIDATION_ERROR"},
		} {
			w.want(w.post("license-file", tt.body), tt.status, tt.code)
		}
		for _, body := range []string{`{"hardware_ids":[]}`, `{"hardware_ids":[""]}`, `{"valid_hours":87601}`,
			`{"x":1}`, `{"hardware_ids":null}`} {
			w.want(w.manage(http.MethodPost, "/"+id+"/license-file", body), 400, "VALIDATION_ERROR")
		}
		w.update(id, `{"offline_activation":false}`)
		w.want(w.post("license-file", device(key, "pc")), 403, "OFFLINE_NOT_ALLOWED")
		w.want(w.manage(http.MethodPost, "/"+id+"/license-file", ""), 403, "OFFLINE_NOT_ALLOWED")
		w.want(w.manage(http.MethodPost, "/"+unknown+"/license-file", ""), 404, "LICENSE_NOT_FOUND")
		if n := w.get(id)["current_devices"]; n != 0.0 || slices.Contains(w.logged(id), "license.file_issued") {
			t.Errorf("refusals left %v seats taken, and %v", n, w.logged(id))
		}
	})
}

// TestFilesAfterAClockThatWasAhead: what a server signs once its clock is right again is accepted, though its keys were
// made in a time to come.
func TestFilesAfterAClockThatWasAhead(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		_, key := w.create(1, 0)
		right := w.clock.Now()
		for _, ahead := range []time.Duration{time.Hour, 19 * 365 * 12 * time.Hour} {
			for _, now := range []time.Time{right.Add(ahead), right} {
				w.clock.Set(now)
				issued := w.post("license-file", device(key, "pc"))
				w.want(issued, http.StatusCreated, "")
				check := file.Check{Root: w.root(), Product: "default", HardwareID: "pc", Now: now}
				if _, err := file.Verify([]byte(issued.body["license_file"].(string)), check); err != nil {
					t.Errorf("a file at %s: %v", now, err)
				}
				w.revocations(0)
				said := w.post("validate", `{"license_key":"`+key+`","hardware_id":"pc","nonce":"n"}`)
				text, _ := said.body["signed_statement"].(string)
				q := file.Question{Nonce: "n", HardwareID: "pc", Now: now}
				if _, err := file.OpenStatement(w.root(), []byte(text), q); err != nil {
					t.Errorf("a statement at %s: %v", now, err)
				}
			}
		}
	})
}

// TestARefusedFileMakesNoKey: the first file of a product that is refused leaves nothing behind.
func TestARefusedFileMakesNoKey(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.with(`"offline_activation":false`)
		keys := func() (n int64) {
			if err := w.db.Read(t.Context()).Table("file_keys").Count(&n).Error; err != nil {
				t.Fatal(err)
			}
			return n
		}
		w.want(w.post("license-file", device(key, "pc")), http.StatusForbidden, "OFFLINE_NOT_ALLOWED")
		w.want(w.manage(http.MethodPost, "/"+id+"/license-file", `{"hardware_ids":["pc"]}`), http.StatusForbidden,
			"OFFLINE_NOT_ALLOWED")
		if n := keys(); n != 0 {
			t.Errorf("%d keys were made", n)
		}
		w.want(w.manage(http.MethodPatch, "/"+id, `{"offline_activation":true}`), http.StatusOK, "")
		w.want(w.post("license-file", device(key, "pc")), http.StatusCreated, "")
		if n := keys(); n != 2 {
			t.Errorf("%d keys, want the root and that of the product", n)
		}
	})
}

func TestAFileStartsTheClock(t *testing.T) {
	eachWorld(t, func(w *world) {
		made := w.manage(http.MethodPost, "", `{"customer_id":"acme","duration_days":30,"starts":"first_activation"}`)
		w.want(made, http.StatusCreated, "")
		id := made.body["license_id"].(string)
		w.want(w.manage(http.MethodPost, "/"+id+"/license-file", ""), http.StatusCreated, "")
		end := w.clock.Now().Add(30 * 24 * time.Hour).Format(time.RFC3339Nano)
		if got := w.get(id); got["expires_at"] != end || !slices.Contains(w.logged(id), "license.started") {
			t.Errorf("ends %v, want %v; %v", got["expires_at"], end, w.logged(id))
		}
	})
}

// TestFilesOutliveTheKeysThatSignedThem rotates the key of a product.
func TestFilesOutliveTheKeysThatSignedThem(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.create(1, 0)
		root := w.root()
		before := w.post("license-file", device(key, "pc"))
		rotate := func(product, body string) answer {
			return w.ask(w.admin, http.MethodPost, "/api/v1/admin/products/"+product+"/signing-key/rotate", body)
		}
		w.want(rotate("nothing", ""), http.StatusNotFound, "PRODUCT_NOT_FOUND")
		w.want(rotate("default", `{"overlap_hours":-1}`), http.StatusBadRequest, "VALIDATION_ERROR")
		rotated := rotate("default", `{"overlap_hours":24}`)
		w.want(rotated, http.StatusOK, "")
		after := w.post("license-file", device(key, "pc"))
		if after.body["kid"] != rotated.body["kid"] || before.body["kid"] == after.body["kid"] {
			t.Errorf("keys %v, rotated to %v, then %v", before.body["kid"], rotated.body["kid"], after.body["kid"])
		}
		for _, got := range []answer{before, after} {
			if _, err := w.verify(root, got, "pc"); err != nil {
				t.Error(err)
			}
		}
		listed := func() (kids []any) {
			for _, k := range w.call(http.MethodGet, "/api/v1/license/keys", "").body["keys"].([]any) {
				kids = append(kids, k.(map[string]any)["kid"])
			}
			return kids
		}
		w.clock.Advance(time.Minute)
		if kids := listed(); !slices.Contains(kids, before.body["kid"]) || !slices.Contains(kids, after.body["kid"]) {
			t.Errorf("published within the overlap: %v", kids)
		}
		w.clock.Advance(24 * time.Hour)
		if kids := listed(); slices.Contains(kids, before.body["kid"]) {
			t.Errorf("published after the overlap: %v", kids)
		}
	})
}

// TestOneRootForAll: the first to ask makes the root, and all get the same.
func TestOneRootForAll(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		roots := make([]string, 40)
		var all sync.WaitGroup
		for i := range roots {
			all.Go(func() {
				rec := httptest.NewRecorder()
				w.public.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/api/v1/license/keys", nil))
				var body struct{ Root struct{ KID string } }
				if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || rec.Code != http.StatusOK {
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
				roots[i] = body.Root.KID
			})
		}
		all.Wait()
		if slices.Sort(roots); roots[0] == "" || roots[0] != roots[len(roots)-1] {
			t.Errorf("roots %v", slices.Compact(roots))
		}
	})
}

// TestRotationsAtOnce: anyone who rotates gets a key that is published, and one of them is the current one.
func TestRotationsAtOnce(t *testing.T) {
	eachWorldInTurn(t, func(w *world) {
		made := make([]answer, 8)
		var all sync.WaitGroup
		for i := range made {
			all.Go(func() {
				const path = "/api/v1/admin/products/default/signing-key/rotate"
				made[i] = w.ask(w.admin, http.MethodPost, path, `{"overlap_hours":24}`)
			})
		}
		all.Wait()
		current, listed := 0, map[any]bool{}
		for _, k := range w.call(http.MethodGet, "/api/v1/license/keys", "").body["keys"].([]any) {
			listed[k.(map[string]any)["kid"]] = true
			if k.(map[string]any)["is_current"] == true {
				current++
			}
		}
		for _, got := range made {
			if w.want(got, http.StatusOK, ""); !listed[got.body["kid"]] {
				t.Errorf("%v was answered and is not published: %v", got.body["kid"], listed)
			}
		}
		if current != 1 {
			t.Errorf("%d current keys", current)
		}
	})
}

// TestSignedStatements: a validation with a nonce proves who answers, and for which seat. One that is refused, or finds
// no seat, proves nothing; nobody else gets one.
func TestSignedStatements(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 10)
		root := w.root()
		ask := func(hardwareID, more string) answer {
			return w.post("validate", fmt.Sprintf(`{"license_key":%q,"hardware_id":%q%s}`, key, hardwareID, more))
		}
		w.want(w.post("activate", device(key, "pc-1")), http.StatusCreated, "")
		got := ask("pc-1", `,"nonce":"n-1"`)
		w.want(got, http.StatusOK, "")
		text, _ := got.body["signed_statement"].(string)
		q := file.Question{Nonce: "n-1", HardwareID: "pc-1", LicenseID: id, Product: "default"}
		said, err := file.OpenStatement(root, []byte(text), q)
		if err != nil || said.Status != "active" || said.LicenseType != "time-limited" ||
			!said.UsableUntil.Equal(said.ExpiresAt) || said.ExpiresAt.IsZero() {
			t.Errorf("%+v, %v", said, err)
		}
		// The key that signs is in memory: an outage of the database does not end the proofs.
		err = w.db.Statement(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("ALTER TABLE file_keys RENAME TO hidden_keys").Error
		})
		if again := ask("pc-1", `,"nonce":"n-2"`); err != nil || again.body["signed_statement"] == nil {
			t.Errorf("%v, %s", err, again.raw)
		}
		for name, unsigned := range map[string]answer{
			"without a nonce": ask("pc-1", ""), "without a seat": ask("pc-2", `,"nonce":"n-1"`),
		} {
			w.want(unsigned, http.StatusOK, "")
			if _, ok := unsigned.body["signed_statement"]; ok {
				t.Errorf("%s: %s", name, unsigned.raw)
			}
		}
		w.want(ask("pc-1", `,"nonce":"`+strings.Repeat("n", file.MaxNonce+1)+`"`), http.StatusBadRequest,
			errcode.ValidationError)
		w.want(ask("pc-1", `,"nonce":{}`), http.StatusBadRequest, errcode.ValidationError)
	})
}
