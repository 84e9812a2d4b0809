package license_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

// activate gives a device a seat.
func (w *world) activate(key, hardwareID string) {
	w.t.Helper()
	w.must(w.post("activate", device(key, hardwareID)), http.StatusCreated)
}

// TestIntegratorC1EndGivenAtCreation: an end counts however it is given, and is never dropped in silence.
func TestIntegratorC1EndGivenAtCreation(t *testing.T) {
	eachWorld(t, func(w *world) {
		now := w.clock.Now().UTC().Truncate(time.Microsecond)
		at := func(t time.Time) string { return t.Format(time.RFC3339Nano) }
		for name, tt := range map[string]struct {
			members string
			want    any // nil: without end
			bad     bool
		}{
			"none": {},
			"days": {members: `,"expires_in_days":30`, want: at(now.Add(30 * 24 * time.Hour))},
			"time": {members: `,"expires_at":"` + at(now.AddDate(1, 0, 0)) + `"`,
				want: at(now.AddDate(1, 0, 0))},
			"time that is over": {members: `,"expires_at":"` + at(now.Add(-time.Hour)) + `"`,
				want: at(now.Add(-time.Hour))},
			"both":              {members: `,"expires_in_days":30,"expires_at":"2099-01-01"`, bad: true},
			"no days":           {members: `,"expires_in_days":0`, bad: true},
			"too many days":     {members: `,"expires_in_days":36501`, bad: true},
			"the zero date":     {members: `,"expires_at":"0001-01-01T00:00:00Z"`, bad: true},
			"the last of 1999":  {members: `,"expires_at":"1999-12-31T23:59:59Z"`, bad: true},
			"the first of 2000": {members: `,"expires_at":"2000-01-01T00:00:00Z"`, want: "2000-01-01T00:00:00Z"},
		} {
			license := `{"customer_id":"acme"` + tt.members + `}`
			one, many := w.manage("POST", "", license), w.manage("POST", "/bulk-create", `{"licenses":[`+license+`]}`)
			if tt.bad {
				w.want(one, http.StatusBadRequest, "VALIDATION_ERROR")
				if many.status != http.StatusMultiStatus || many.body["failed_count"] != 1.0 {
					w.t.Errorf("%s: %s", name, many.raw)
				}
				continue
			}
			w.want(one, http.StatusCreated, "")
			w.want(many, http.StatusCreated, "")
			if many.status != http.StatusCreated {
				continue
			}
			row := many.body["created"].([]any)[0].(map[string]any)
			for _, l := range []map[string]any{one.body, row, w.get(one.body["license_id"].(string))} {
				if l["expires_at"] != tt.want {
					w.t.Errorf("%s: ends %v, want %v", name, l["expires_at"], tt.want)
				}
			}
		}
	})
}

// TestIntegratorC2ZeroDateIsNotPerpetual: only null takes the end away.
func TestIntegratorC2ZeroDateIsNotPerpetual(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 30)
		w.activate(key, "pc")
		for _, bad := range []string{
			`{"expires_at":"0001-01-01T00:00:00Z"}`, `{"expires_at":"0001-01-01T00:00:01Z"}`,
			`{"expires_at":"1970-01-01"}`,
			`{"expires_in_days":1,"expires_at":"2099-01-01"}`, `{"expires_in_days":1,"expires_at":null}`,
			`{"expires_in_days":0}`,
		} {
			w.want(w.manage("PATCH", "/"+id, bad), http.StatusBadRequest, "VALIDATION_ERROR")
		}
		now := w.clock.Now().UTC().Truncate(time.Microsecond)
		w.update(id, `{"expires_at":"`+now.Add(-time.Hour).Format(time.RFC3339Nano)+`"}`)
		w.want(w.post("validate", device(key, "pc")), http.StatusForbidden, "LICENSE_EXPIRED")
		w.update(id, `{"expires_in_days":365}`)
		if got, want := w.get(id)["expires_at"], now.Add(365*24*time.Hour).Format(time.RFC3339Nano); got != want {
			w.t.Errorf("C3a: expires_in_days gave %v, want %v", got, want)
		}
		w.update(id, `{"expires_at":null}`)
		if got := w.get(id)["expires_at"]; got != nil {
			w.t.Errorf("perpetual: %v", got)
		}
	})
}

// TestIntegratorC3Filters: lists filter by exact key, by device, by customer and by status, alone and together.
func TestIntegratorC3Filters(t *testing.T) {
	eachWorld(t, func(w *world) {
		active, key := w.create(2, 30)
		expired, expiredKey := w.create(1, 1)
		inactive, _ := w.create(1, 0)
		w.activate(key, "pc-1")
		w.activate(key, "pc-2")
		w.activate(expiredKey, "pc-1")
		w.deactivate(active, "pc-2")
		w.want(w.manage("DELETE", "/"+inactive, ""), http.StatusOK, "")
		w.clock.Advance(24 * time.Hour) // the instant at which the second one ends
		for name, tt := range map[string]struct {
			filter url.Values
			want   []string
		}{
			"key":                       {url.Values{"license_key": {key}}, []string{active}},
			"key as somebody typed it":  {url.Values{"license_key": {strings.ToLower(key)}}, []string{active}},
			"part of a key":             {url.Values{"license_key": {key[:10]}}, nil},
			"masked key":                {url.Values{"license_key": {w.get(active)["license_key"].(string)}}, nil},
			"unknown key":               {url.Values{"license_key": {"LIC-NOSUCHKEY000"}}, nil},
			"device on two licenses":    {url.Values{"hardware_id": {"pc-1"}}, []string{active, expired}},
			"device that left its seat": {url.Values{"hardware_id": {"pc-2"}}, nil},
			"unknown device":            {url.Values{"hardware_id": {"pc"}}, nil},
			"active":                    {url.Values{"status": {"active"}}, []string{active}},
			"expired":                   {url.Values{"status": {"expired"}}, []string{expired}},
			"inactive":                  {url.Values{"status": {"inactive"}}, []string{inactive}},
			"device and status": {url.Values{"hardware_id": {"pc-1"}, "status": {"expired"}},
				[]string{expired}},
			"customer and key": {url.Values{"customer_id": {"acme"}, "license_key": {key}}, []string{active}},
			"other customer":   {url.Values{"customer_id": {"brick"}, "license_key": {key}}, nil},
		} {
			got, total := w.list(tt.filter)
			slices.Sort(got)
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) || total != len(tt.want) {
				w.t.Errorf("%s: %d %v, want %v", name, total, got, tt.want)
			}
		}
	})
}

// TestStatusIsWhatTheRulesSay: over random licenses and instants, each license has the one status by which it can be
// used.
func TestStatusIsWhatTheRulesSay(t *testing.T) {
	eachWorld(t, func(w *world) {
		codes := map[string]string{"": "active", "LICENSE_EXPIRED": "expired", "LICENSE_INACTIVE": "inactive"}
		var ids []string
		for range 12 {
			id, key := w.create(1, rand.IntN(3))
			w.activate(key, "pc")
			if rand.IntN(3) == 0 {
				w.want(w.manage("DELETE", "/"+id, ""), http.StatusOK, "")
			}
			ids = append(ids, id)
		}
		for range 3 {
			want, got := map[string]string{}, map[string]string{}
			for _, id := range ids {
				want[id] = codes[refused(w.asAuth.CheckDevice(t.Context(),
					connect.NewRequest(&licensev1.CheckDeviceRequest{LicenseId: id, HardwareId: "pc"})))]
			}
			for _, status := range codes {
				found, _ := w.list(url.Values{"status": {status}, "per_page": {"100"}})
				for _, id := range found {
					got[id] += status
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				w.t.Errorf("-rules +list:\n%s", diff)
			}
			w.clock.Advance(24 * time.Hour)
		}
	})
}

// TestSearchByKeyIsAudited: who looks a key up is noted, and the entry does not show the key.
func TestSearchByKeyIsAudited(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(1, 0)
		version := w.get(id)["version"]
		w.list(url.Values{"license_key": {key}})
		entry := string(w.audited("license.find_by_key").Data)
		if !strings.Contains(entry, id) || !strings.Contains(entry, `"Ada"`) || strings.Contains(entry, key) {
			w.t.Errorf("recorded %s", entry)
		}
		if w.get(id)["version"] != version {
			w.t.Error("looking a license up changed it")
		}

		// However often it is searched for, there is one entry an hour for each administrator.
		entries := func() (n int64) {
			if err := w.db.Read(t.Context()).Table("outbox").Where("CAST(data AS text) LIKE ?", "%find_by_key%").
				Count(&n).Error; err != nil {
				w.t.Fatal(err)
			}
			return n
		}
		for i, want := range []int64{1, 2, 4} {
			for range 5 {
				w.list(url.Values{"license_key": {key}})
				if i > 0 {
					w.ask(w.front(&rpc.Actor{Id: "grace"}), "POST", managed+"/search", `{"license_key":"`+key+`"}`)
				}
			}
			if got := entries(); got != want {
				w.t.Errorf("round %d: %d entries, want %d", i, got, want)
			}
			if i == 1 {
				w.clock.Advance(time.Hour)
			}
		}
	})
}

// TestIntegratorP1TransferToADeviceWithASeat says that nothing was moved, and what to do.
func TestIntegratorP1TransferToADeviceWithASeat(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 0)
		w.activate(key, "a")
		w.activate(key, "b")
		got := w.manage("POST", "/"+id+"/transfer", `{"from_hardware_id":"a","to_hardware_id":"b"}`)
		w.want(got, http.StatusConflict, "ALREADY_ACTIVATED")
		if !strings.Contains(got.raw, "nothing was moved") ||
			!strings.Contains(got.raw, "deactivate from_hardware_id") {
			w.t.Errorf("got %s", got.raw)
		}
	})
}

// TestIntegratorP7LostAnswers: a change of devices that is asked for again with its Idempotency-Key answers as the
// first time and changes nothing more.
func TestIntegratorP7LostAnswers(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(2, 0)
		w.activate(key, "a")
		transfer := func(by, key, to string) answer {
			front := w.front(&rpc.Actor{Id: by, RequestId: fmt.Sprint(rand.Int())})
			return w.ask(front, "POST", managed+"/"+id+"/transfer",
				`{"from_hardware_id":"a","to_hardware_id":"`+to+`"}`, "Idempotency-Key", key)
		}
		first, again := transfer("ada", "t", "b"), transfer("ada", "t", "b")
		w.want(first, http.StatusOK, "")
		if first.raw != again.raw || again.header.Get("Idempotency-Replayed") != "true" ||
			first.body["to_hardware_id"] != "b" {
			w.t.Errorf("transfer: first %s, again %s", first.raw, again.raw)
		}
		w.want(transfer("ada", "t", "c"), http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
		w.want(transfer("bob", "t", "b"), http.StatusNotFound, "DEVICE_NOT_FOUND")
		leave := func() answer {
			return w.manage("POST", "/"+id+"/devices/deactivate", `{"hardware_id":"b","reason":"sold"}`,
				"Idempotency-Key", "d")
		}
		left, leftAgain := leave(), leave()
		w.want(left, http.StatusOK, "")
		if left.raw != leftAgain.raw || left.body["hardware_id"] != "b" {
			w.t.Errorf("deactivate: first %s, again %s", left.raw, leftAgain.raw)
		}
		if n := w.get(id)["current_devices"]; n != 0.0 {
			w.t.Errorf("%v seats are taken", n)
		}
	})
}

// TestDevicesArePaged: however many devices a license has had, a page shows some of them and the exact number.
func TestDevicesArePaged(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, key := w.create(5, 0)
		var newestFirst []string
		for i := range 5 {
			w.activate(key, fmt.Sprint("pc-", i))
			newestFirst = slices.Insert(newestFirst, 0, fmt.Sprint("pc-", i))
			w.clock.Advance(time.Second)
		}
		for page, want := range [][]string{newestFirst[:2], newestFirst[2:4], newestFirst[4:], nil} {
			list := w.manage("GET", fmt.Sprintf("/%s/devices?page=%d&per_page=2", id, page+1), "")
			var got []string
			for _, d := range list.body["devices"].([]any) {
				got = append(got, d.(map[string]any)["hardware_id"].(string))
			}
			if !slices.Equal(got, want) || list.body["total"] != 5.0 {
				w.t.Errorf("page %d: %s, want %v of 5", page+1, list.raw, want)
			}
		}
	})
}

// TestDevicesAndLeasesAreReadOn: a cursor shows each once, also when others come and go meanwhile, and the exact
// number.
func TestDevicesAndLeasesAreReadOn(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.unlimitedCalls()
		id, key := w.floating(`{"slots":99}`)
		var newestFirst []string
		add := func(name string) {
			w.activate(key, name)
			w.want(w.checkOut(key, name), http.StatusCreated, "")
		}
		for i := range 5 { // two and two at one instant
			add(fmt.Sprint("pc-", i))
			newestFirst = slices.Insert(newestFirst, 0, fmt.Sprint("pc-", i))
			w.clock.Advance(time.Duration(i%2) * time.Second)
		}
		for _, list := range []string{"devices", "leases"} {
			var got []string
			for query := "per_page=2"; query != ""; {
				page := w.manage("GET", "/"+id+"/"+list+"?"+query, "")
				w.want(page, http.StatusOK, "")
				for _, item := range page.body[list].([]any) {
					got = append(got, item.(map[string]any)["hardware_id"].(string))
				}
				query = ""
				if next, ok := page.body["next_cursor"].(string); ok {
					query = "per_page=2&cursor=" + next
					add("later " + list + fmt.Sprint(len(got)))
				}
			}
			if slices.Sort(got); list == "devices" && !slices.Equal(got, slices.Sorted(slices.Values(newestFirst))) {
				t.Errorf("%s: %v", list, got)
			}
			for _, name := range newestFirst {
				if !slices.Contains(got, name) {
					t.Errorf("%s: %s was never shown in %v", list, name, got)
				}
			}
			if len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("%s: shown twice: %v", list, got)
			}
			for _, bad := range []string{"cursor=x", "cursor=x&page=1", "per_page=1001", "per_page=0"} {
				w.want(w.manage("GET", "/"+id+"/"+list+"?"+bad, ""), http.StatusBadRequest, "VALIDATION_ERROR")
			}
		}
	})
}

// TestNoSearchByKeyEscapesTheAudit: neither a page past the end nor a filter that the license does not match hides a
// search.
func TestNoSearchByKeyEscapesTheAudit(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, more := range []url.Values{{"page": {"2"}}, {"customer_id": {"other"}}, {"status": {"inactive"}}} {
			id, key := w.create(1, 0)
			more.Set("license_key", key)
			if found, _ := w.list(more); len(found) != 0 {
				w.t.Errorf("%v: found %v", more, found)
			}
			w.await(func(e event.Event) bool {
				return strings.Contains(string(e.Data), "license.find_by_key") && strings.Contains(string(e.Data), id)
			})
		}
	})
}
