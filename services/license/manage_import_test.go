package license_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// importing sends rows; options are more members of the request.
func (w *world) importing(rows, options string, headers ...string) answer {
	w.t.Helper()
	return w.manage(http.MethodPost, "/import", `{"licenses":[`+rows+`]`+options+`}`, headers...)
}

const forReal = `,"dry_run":false`

// imported are the rows of an answer: outcome, error code, and the members that changed or are wrong.
func imported(a answer) (rows []string) {
	results, _ := a.body["results"].([]any)
	for _, r := range results {
		row := r.(map[string]any)
		told := fmt.Sprint(row["outcome"])
		if code, _ := row["error_code"].(string); code != "" {
			told += " " + code
		}
		names := []string{}
		for _, name := range row["changed"].([]any) {
			names = append(names, name.(string))
		}
		fields, _ := row["details"].(map[string]any)["fields"].(map[string]any)
		for name := range fields {
			names = append(names, name)
		}
		slices.Sort(names)
		rows = append(rows, strings.TrimSpace(told+" "+strings.Join(names, " ")))
	}
	return rows
}

func (w *world) wantImported(a answer, rows ...string) {
	w.t.Helper()
	if diff := cmp.Diff(rows, imported(a)); diff != "" {
		w.t.Errorf("rows (-want +got):\n%s%s", diff, a.raw)
	}
}

// firstImported is the license of the first row of an answer.
func firstImported(a answer) string {
	id, _ := a.body["results"].([]any)[0].(map[string]any)["license_id"].(string)
	return id
}

const wholeRow = `{"license_key":"GF32-XR78-JA2K-LYBU","customer_id":"acme","max_devices":3,"expires_at":"2099-01-31",
	"grace_hours":48,"maintenance_until":"2098-12-31","is_trial":true,"metadata":{"order": 7},"features":["pdf"],
	"entitlements":[{"code":"cloud","expires_at":"2098-01-01"}],"counters":[{"name":"exports","limit":100}],
	"used":{"exports":12},"transfer_limit":5,"transfers_used":2,
	"customer":{"name":"Ada","email":"ada@acme.example","company":"Acme","address":{"city":"Bonn"}},
	"devices":[{"hardware_id":"pc-1","device_name":"Front desk"},{"hardware_id":"pc-2"},
		{"hardware_id":"old","is_active":false}]}`

// An imported license is one like any other: its key, devices, counters and customer are those of the other system.
func TestImport(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		done := w.importing(wholeRow, forReal)
		w.want(done, http.StatusOK, "")
		w.wantImported(done, "created")
		id := firstImported(done)
		got := w.get(id)
		for member, want := range map[string]any{
			"license_key": "GF32********", "customer_id": "acme", "max_devices": 3.0, "current_devices": 2.0,
			"expires_at": "2099-01-31T23:59:59Z", "grace_hours": 48.0, "maintenance_until": "2098-12-31T23:59:59Z",
			"is_trial": true, "is_active": true, "transfers_used": 2.0, "metadata": map[string]any{"order": 7.0},
		} {
			if diff := cmp.Diff(want, got[member]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", member, diff)
			}
		}
		valid := w.post("validate", device("gf32\u2013xr78-ja2k-lybu ", "pc-1"))
		if valid.body["valid"] != true {
			t.Errorf("a device of the other system: %s", valid.raw)
		}
		w.want(w.post("validate", device("GF32-XR78-JA2K-LYBU", "old")), http.StatusOK, "DEVICE_NOT_ACTIVATED")
		w.activate("GF32-XR78-JA2K-LYBU", "pc-3")
		w.want(w.post("activate", device("GF32-XR78-JA2K-LYBU", "pc-4")), http.StatusForbidden, "DEVICE_LIMIT_EXCEEDED")
		w.wantUsed(id, "exports", 12)
		customer := w.customers(http.MethodGet, "/acme", "").body
		if customer["email"] != "ada@acme.example" || customer["address"].(map[string]any)["city"] != "Bonn" {
			t.Errorf("%v", customer)
		}
		var created eventsv1.LicenseCreated
		if err := w.eventually(eventsv1.TypeLicenseCreated).Into(&created); err != nil {
			t.Fatal(err)
		}
		if created.GetLicenseId() != id || created.GetLicense().GetCurrentDevices() != 2 {
			t.Errorf("%v", &created)
		}
		if entry := string(w.audited("license.import").Data); !strings.Contains(entry, id) ||
			strings.Contains(entry, "LYBU") {
			t.Errorf("%s", entry)
		}
	})
}

// A second import of the same rows changes nothing, whatever has happened to the licenses meanwhile.
func TestImportTwiceIsOnce(t *testing.T) {
	for _, existing := range []string{"keep", "update"} {
		eachStillWorld(t, func(w *world) {
			w.unlimitedCalls()
			w.activate(keyOf(w.create(1, 0)), "pc")
			rows := wholeRow + `,{"license_key":"another-key","customer_id":"b","duration_days":30,
				"starts":"first_activation",
				"devices":[{"hardware_id":"pc"}]},{"license_key":"off-key-1","customer_id":"b","is_active":false,
				"deactivation_reason":"refunded"},{"license_key":"short","customer_id":"b"}`
			options := forReal + `,"existing":"` + existing + `"`
			first := w.importing(rows, options)
			w.want(first, http.StatusMultiStatus, "")
			w.wantImported(first, "created", "created", "created", "failed VALIDATION_ERROR license_key")
			before := w.rows()
			again := w.importing(rows, options)
			w.wantImported(again, "unchanged", "unchanged", "unchanged", "failed VALIDATION_ERROR license_key")
			if diff := cmp.Diff(before, w.rows()); diff != "" || firstImported(again) != firstImported(first) {
				t.Errorf("the second import wrote (-before +after):\n%s", diff)
			}
			w.activate("GF32-XR78-JA2K-LYBU", "pc-3")
			w.want(w.consume("GF32-XR78-JA2K-LYBU", `"hardware_id":"pc-1","counter":"exports"`), http.StatusOK, "")
			w.want(w.post("deactivate", device("GF32-XR78-JA2K-LYBU", "pc-2")), http.StatusOK, "")
			w.wantImported(w.importing(rows, options), imported(again)...)
			w.wantUsed(firstImported(first), "exports", 13)
		})
	}
}

func keyOf(_, key string) string { return key }

// A dry run answers what the run then does, and writes nothing.
func TestImportDryRun(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		w.activate(keyOf(w.create(1, 0)), "pc")
		w.wantImported(w.importing(`{"license_key":"known-key","customer_id":"a","max_devices":2}`, forReal), "created")
		rows := wholeRow + `,{"license_key":"known-key","customer_id":"a","max_devices":4,
				"devices":[{"hardware_id":"x"}]},
			{"license_key":"known-KEY","customer_id":"a","max_devices":4},
			{"license_key":"twice-key","customer_id":"a"},{"license_key":"twice-key","customer_id":"a"},
			{"license_key":"wrong-key","customer_id":"a","expires_at":"31/12/2026"},
			{"license_key":"wrong-KEY","customer_id":"a"},
			{"license_key":"full-key1","customer_id":"a","devices":[{"hardware_id":"x"},{"hardware_id":"y"}]},7`
		want := []string{
			"created", "updated devices max_devices", "failed VALIDATION_ERROR license_key", "created",
			"failed VALIDATION_ERROR license_key", "failed VALIDATION_ERROR expires_at",
			"failed VALIDATION_ERROR license_key", "failed DEVICE_LIMIT_EXCEEDED", "failed VALIDATION_ERROR body",
		}
		before := w.rows()
		for _, dry := range []string{``, `,"dry_run":true`, `,"dry_run":null`} {
			tried := w.importing(rows, dry+`,"existing":"update"`, "Idempotency-Key", "once")
			w.wantImported(tried, want...)
			if tried.body["dry_run"] != true || tried.body["created_count"] != 2.0 || firstImported(tried) != "" {
				t.Errorf("%s", tried.raw)
			}
		}
		if diff := cmp.Diff(before, w.rows()); diff != "" {
			t.Errorf("a dry run wrote (-before +after):\n%s", diff)
		}
		w.want(w.post("validate", device("GF32-XR78-JA2K-LYBU", "pc-1")), http.StatusNotFound, "LICENSE_NOT_FOUND")
		w.wantImported(w.importing(rows, forReal+`,"existing":"update"`, "Idempotency-Key", "once"), want...)
	})
}

// What is here stays as it is, unless the import may change it; then it takes nothing away.
func TestImportOfLicensesThatAreHere(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.importing(wholeRow, forReal)
		const row = `{"license_key":"GF32-XR78-JA2K-LYBU","max_devices":5,"features":["print"],
			"counters":[{"name":"scans"}],"used":{"exports":20,"scans":3},"customer":{"name":"Bob","phone":"1"},
			"devices":[{"hardware_id":"pc-1","is_active":false},{"hardware_id":"pc-9"}]}`
		want := "counters customer devices entitlements features max_devices used"
		kept := w.importing(row, forReal)
		w.wantImported(kept, "differs "+want)
		id := firstImported(kept)
		if l := w.get(id); l["max_devices"] != 3.0 || l["current_devices"] != 2.0 {
			t.Errorf("%v", l)
		}
		w.wantUsed(id, "exports", 12)
		w.wantImported(w.importing(row, forReal+`,"existing":"update"`), "updated "+want)
		w.wantImported(w.importing(row, forReal+`,"existing":"update"`), "unchanged")
		got := w.get(id)
		if got["max_devices"] != 5.0 || got["current_devices"] != 3.0 || got["expires_at"] != "2099-01-31T23:59:59Z" ||
			text(got["features"]) != `["pdf","print","cloud"]` || len(got["entitlements"].([]any)) != 3 {
			t.Errorf("%s", text(got))
		}
		w.wantUsed(id, "exports", 20)
		w.wantUsed(id, "scans", 3)
		if c := w.customers(http.MethodGet, "/acme", "").body; c["name"] != "Ada" || c["phone"] != "1" {
			t.Errorf("%v", c)
		}
		w.wantImported(w.importing(`{"license_key":"GF32-XR78-JA2K-LYBU","max_devices":2,
			"devices":[{"hardware_id":"pc-10"}]}`, forReal+`,"existing":"update"`), "failed DEVICE_LIMIT_EXCEEDED")
		if l := w.get(id); l["max_devices"] != 5.0 {
			t.Errorf("of a row that failed, something was written: %v", l)
		}
	})
}

// TestImportTellsOnce: of a row that changes terms and devices there are one event and one entry of the audit log.
func TestImportTellsOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		id := firstImported(w.importing(wholeRow, forReal))
		w.wantImported(w.importing(`{"license_key":"GF32-XR78-JA2K-LYBU","max_devices":5,
			"devices":[{"hardware_id":"pc-9"},{"hardware_id":"pc-10","is_active":false}]}`,
			forReal+`,"existing":"update"`), "updated devices max_devices")
		w.must(w.manage(http.MethodPost, "/"+id+"/suspend", `{"reason":"x"}`), http.StatusOK)
		w.audited("license.suspend")
		w.mu.Lock()
		defer w.mu.Unlock()
		var told []string
		for _, e := range w.published {
			text := string(e.Data)
			if e.Type == eventsv1.TypeLicenseUpdated || strings.Contains(text, `"action":"license.update"`) ||
				strings.Contains(text, `"action":"license.import"`) {
				told = append(told, text)
			}
		}
		if len(told) != 3 || !strings.Contains(told[1], `["max_devices","devices"]`) ||
			!strings.Contains(told[2], `\"current_devices\":3`) || !strings.Contains(told[2], `\"max_devices\":5`) {
			t.Errorf("%q", told)
		}
	})
}

// Users come without their passwords, and have the seats of their devices.
func TestImportOfUsers(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		w.want(w.products(http.MethodPost, "", `{"code":"studio","name":"Studio","authorization_method":"user"}`),
			http.StatusCreated, "")
		const row = `{"license_key":"user-license-1","customer_id":"acme","product":"studio","max_devices":4,
			"users":[{"email":"ada@acme.example","name":"Ada"},{"email":"Bob@acme.example","max_devices":2}],
			"devices":[{"hardware_id":"pc-1","user":"ADA@acme.example"},
				{"hardware_id":"pc-2","user":"bob@acme.example"}]}`
		done := w.importing(row, forReal)
		w.wantImported(done, "created")
		w.wantImported(w.importing(row, forReal+`,"existing":"update"`), "unchanged")
		listed := w.users(http.MethodGet, "?license_id="+firstImported(done), "")
		users, _ := listed.body["users"].([]any)
		if len(users) != 2 {
			t.Fatalf("%s", listed.raw)
		}
		for _, password := range []string{"", "password"} {
			got := w.post("users/sign-in", `{"product":"studio","email":"ada@acme.example","password":"`+password+`"}`)
			if got.status == http.StatusOK {
				t.Errorf("signed in with %q: %s", password, got.raw)
			}
		}
		var ada string
		for _, u := range users {
			if u := u.(map[string]any); u["email"] == "ada@acme.example" {
				ada = u["user_id"].(string)
			}
		}
		w.want(w.users(http.MethodPost, "/"+ada+"/reset-password", `{"initial_password":"correct horse"}`),
			http.StatusOK, "")
		in := w.post("users/sign-in", `{"product":"studio","email":"ada@acme.example","password":"correct horse"}`)
		w.want(in, http.StatusOK, "")
		valid := w.post("validate", fmt.Sprintf(`{"user_token":%q,"hardware_id":"pc-1"}`, in.body["user_token"]))
		if valid.body["valid"] != true {
			t.Errorf("%s", valid.raw)
		}
		w.wantImported(w.importing(`{"license_key":"key-license-1","customer_id":"acme",`+
			`"users":[{"email":"a@b.example"}]}`,
			forReal), "failed VALIDATION_ERROR product")
	})
}

// Each row says alone what is wrong with it, by the name of the member, and leaves nothing behind.
func TestImportOfBadRows(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		w.activate(key, "pc")
		group := w.group(`,"max_devices":1`)
		enrollment := w.manage(http.MethodPost, "/"+id+"/enrollment-keys", `{"label":"a"}`).body["enrollment_key"]
		before := w.rows()
		const invalid, good = "VALIDATION_ERROR ", `"license_key":"good-key","customer_id":"a",`
		for row, want := range map[string]string{
			`"customer_id":"a"`:        invalid + "license_key",
			`"license_key":"  "`:       invalid + "license_key",
			`"license_key":"good-key"`: invalid + "customer_id",
			`"license_key":"good-key","customer":{"email":"x"},"customer_id":"a"`: invalid + "customer.email",
			good + `"expires_in_days":3`:                                          invalid + "expires_in_days",
			good + `"policy":"none"`:                                              invalid + "policy",
			good + `"used":{"x":1}`:                                               invalid + "used.x",
			good + `"counters":[{"name":"x"}],"used":{"x":-1}`:                    invalid + "used.x",
			good + `"devices":[{"hardware_id":""}]`: invalid +
				"devices[0].hardware_id",
			good +
				`"devices":[{"hardware_id":"unknown"}]`: invalid + "devices[0].hardware_id",
			good +
				`"devices":[{"hardware_id":"a","user":"x"}]`: invalid + "devices[0].user",
			good + `"max_devices":2,"devices":[{"hardware_id":"a"},{"hardware_id":"a"}]`: invalid +
				"devices[1].hardware_id",
			good + `"transfers_used":1`:           invalid + "transfers_used",
			good + `"transfers_used":-1`:          invalid + "transfers_used",
			good + `"deactivation_reason":"gone"`: invalid + "deactivation_reason",
			good + `"group_id":"` + group + `","max_devices":2,"devices":[{"hardware_id":"a"},` +
				`{"hardware_id":"b"}]`: "GROUP_LIMIT_EXCEEDED",
			`"license_key":"` + key + `","product":"other"`:               "LICENSE_KEY_EXISTS",
			fmt.Sprintf(`"license_key":%q,"customer_id":"a"`, enrollment): "LICENSE_KEY_EXISTS",
			good + `"licence":1`: invalid + "licence",
			`"license_key":"good-key","customer_id":"a\u0000"`: invalid + "customer_id",
		} {
			for _, dry := range []string{"", forReal} {
				got := w.importing("{"+row+"}", dry)
				w.want(got, http.StatusMultiStatus, "")
				w.wantImported(got, "failed "+want)
			}
		}
		if diff := cmp.Diff(before, w.rows(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("rows that failed wrote (-before +after):\n%s", diff)
		}
	})
}

// A file from before a customer was erased does not bring the customer back.
func TestImportAfterErasure(t *testing.T) {
	eachWorld(t, func(w *world) {
		id := firstImported(w.importing(wholeRow, forReal))
		w.want(w.customers(http.MethodPost, "/acme/erase", "{}"), http.StatusOK, "")
		erased := w.get(id)["customer_id"]
		for _, dry := range []string{"", forReal} {
			w.wantImported(w.importing(wholeRow, dry+`,"existing":"update"`), "failed CUSTOMER_NOT_FOUND")
			w.wantImported(w.importing(wholeRow, dry), "differs")
		}
		if l := w.get(id); l["customer_id"] != erased {
			t.Errorf("%v", l)
		}
	})
}

// Other calls have their turn while an import is carried out: it is several transactions, of which each is kept under
// the Idempotency-Key.
func TestAnImportIsSeveralTransactions(t *testing.T) {
	eachWorld(t, func(w *world) {
		var rows []string
		for i := range 120 {
			rows = append(rows, fmt.Sprintf(`{"license_key":"many-key-%d","customer_id":"a"}`, i))
		}
		first := w.importing(strings.Join(rows, ","), forReal, "Idempotency-Key", "once")
		again := w.importing(strings.Join(rows, ","), forReal, "Idempotency-Key", "once")
		if first.body["created_count"] != 120.0 || again.raw != first.raw ||
			again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s\n%s", first.raw, again.raw)
		}
		w.want(w.importing(rows[0], forReal, "Idempotency-Key", "once"), http.StatusUnprocessableEntity,
			"IDEMPOTENCY_KEY_REUSED")
		var kept int
		err := w.db.Read(t.Context()).Raw("SELECT count(*) FROM idempotency_keys").Scan(&kept).Error
		if err != nil || kept != 6 {
			t.Errorf("%d answers are kept: %v", kept, err)
		}
	})
}

// Devices that are blocked get no seat by an import, on new licenses and on those that are here; inactive ones take
// none.
func TestImportOfBlockedDevices(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, hardwareID := range []string{"stolen", "old"} {
			w.want(w.blocks(http.MethodPost, "", `{"hardware_id":"`+hardwareID+`","reason":"a theft"}`),
				http.StatusCreated, "")
		}
		w.want(w.products(http.MethodPost, "", `{"code":"viewer"}`), http.StatusCreated, "")
		w.want(w.blocks(http.MethodPost, "", `{"hardware_id":"viewer","product":"viewer","reason":"x"}`),
			http.StatusCreated, "")
		const row = `{"license_key":"key-with-thieves","customer_id":"acme","max_devices":3,"devices":[
			{"hardware_id":"pc-1"},{"hardware_id":"stolen"},{"hardware_id":"old","is_active":false},
			{"hardware_id":"viewer"}]}`
		for _, want := range []string{"created", "unchanged"} {
			done := w.importing(row, forReal)
			w.want(done, http.StatusOK, "")
			w.wantImported(done, want)
			skipped, _ := done.body["results"].([]any)[0].(map[string]any)["skipped_devices"].([]any)
			if len(skipped) != 1 || !strings.Contains(fmt.Sprint(skipped[0]), "a theft") ||
				skipped[0].(map[string]any)["index"] != 1.0 {
				t.Errorf("skipped %v", skipped)
			}
			if got := w.get(firstImported(done))["current_devices"]; got != 2.0 {
				t.Errorf("%v devices, want 2", got)
			}
		}
		// What is wrong with others is told by their places in the row.
		w.wantImported(w.importing(strings.Replace(row, `"pc-1"`, `"None"`, 1), forReal+`,"existing":"update"`),
			"failed VALIDATION_ERROR devices[0].hardware_id")
		w.wantImported(w.importing(strings.NewReplacer("viewer", "None", "thieves", "more").Replace(row), forReal),
			"failed VALIDATION_ERROR devices[3].hardware_id")
	})
}

// A file knows nothing of rotations: a key that works no more makes no second license.
func TestImportAfterRotation(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		const row = `{"license_key":"rotated-key-1","customer_id":"a"}`
		id := firstImported(w.importing(row, forReal))
		for _, hours := range []int{0, 24} {
			w.rotate(id, hours)
			for _, dry := range []string{"", forReal} {
				if got := w.importing(row, dry); firstImported(got) != id || got.body["unchanged_count"] != 1.0 {
					t.Errorf("%d hours: %s", hours, got.raw)
				}
			}
			w.want(w.post("validate", device("rotated-key-1", "pc")), http.StatusNotFound, "LICENSE_NOT_FOUND")
		}
		// The vendor may give the key to another license, and rotate that, too.
		other := w.manage(http.MethodPost, "", row)
		w.want(other, http.StatusCreated, "")
		w.rotate(other.body["license_id"].(string), 0)
		if got := w.importing(row, forReal); firstImported(got) != other.body["license_id"] {
			t.Errorf("%s", got.raw)
		}
	})
}

func TestImportLimits(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		row := `{"license_key":"good-key","customer_id":"a","max_devices":null,"devices":[%s]}`
		devices := func(n int) string {
			var all []string
			for i := range n {
				all = append(all, fmt.Sprintf(`{"hardware_id":"pc-%d"}`, i))
			}
			return fmt.Sprintf(row, strings.Join(all, ","))
		}
		w.wantImported(w.importing(devices(999), forReal), "created")
		w.want(w.importing(devices(1000), forReal), http.StatusBadRequest, "VALIDATION_ERROR")
		for _, body := range []string{`{}`, `{"licenses":[]}`, `{"licenses":null}`,
			`{"licenses":[7],"existing":"drop"}`, `{"licenses":[7],"dry_run":"no"}`, `{"licenses":[7],"more":1}`} {
			w.want(w.manage(http.MethodPost, "/import", body), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		if got := w.get(firstImported(w.importing(devices(1), ""))); got["current_devices"] != 999.0 {
			t.Errorf("%v", got["current_devices"])
		}
	})
}

// Imports at two processes and activations want the seats of the same licenses at once: each key becomes one license,
// with never more devices than seats.
func TestImportsAndActivationsRace(t *testing.T) {
	const seats = 7
	eachWorldInTurn(t, func(w *world) {
		w.unlimitedCalls()
		both := []*world{w, w.replica()}
		row := func(i int) string {
			return fmt.Sprintf(`{"license_key":"raced-key-1","customer_id":"a","max_devices":%d,
				"devices":[{"hardware_id":"imported-%d"}]}`, seats, i)
		}
		counted := w.together(40, http.StatusOK, func(i int) answer {
			return both[i/2%2].importing(row(i), forReal+`,"existing":"update"`)
		})
		l, _ := w.list(nil)
		if len(l) != 1 || counted != seats {
			t.Fatalf("%d licenses, %d imports went well", len(l), counted)
		}
		w.update(l[0], fmt.Sprintf(`{"max_devices":%d}`, 3*seats))
		row = func(i int) string {
			return fmt.Sprintf(`{"license_key":"raced-key-1","devices":[{"hardware_id":"later-%d"}]}`, i)
		}
		in := w.together(40, http.StatusOK, func(i int) answer {
			if i%2 == 1 {
				return both[i/2%2].importing(row(i), forReal+`,"existing":"update"`)
			}
			got := both[i/2%2].post("activate", device("raced-key-1", fmt.Sprint("pc-", i)))
			if got.status == http.StatusCreated {
				got.status = http.StatusOK
			}
			return got
		})
		if shown := w.seatsTaken(l[0]); shown != float64(3*seats) || in != 2*seats {
			t.Errorf("%v seats taken, %d got in", shown, in)
		}
	})
}
