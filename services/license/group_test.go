package license_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/latchkey-dev/latchkey/proto/errcode"
	authv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// groups asks for groups at admin.
func (w *world) groups(method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.ask(w.admin, method, "/api/v1/admin/groups"+path, body, headers...)
}

// group makes a group with these limits.
func (w *world) group(limits string) (id string) {
	w.t.Helper()
	made := w.groups(http.MethodPost, "", `{"name":"physics"`+limits+`}`)
	w.must(made, http.StatusCreated)
	return made.body["group_id"].(string)
}

// inGroup makes a license of a group, with nine seats.
func (w *world) inGroup(group string) (id, key string) {
	w.t.Helper()
	return w.with(`"max_devices":9,"group_id":"` + group + `"`)
}

// used reports whether a group shows these figures.
func (w *world) used(group string, licenses, devices int) {
	w.t.Helper()
	got := w.groups(http.MethodGet, "/"+group, "").body
	if got["current_licenses"] != float64(licenses) || got["current_devices"] != float64(devices) {
		w.t.Errorf("%v licenses with %v devices, want %d with %d",
			got["current_licenses"], got["current_devices"], licenses, devices)
	}
}

func (w *world) unlimitedCalls() { w.auth.limit = &authv1.RateLimit{} }

func TestLicensesOfAGroupShareItsLimits(t *testing.T) {
	eachWorld(t, func(w *world) {
		group := w.group(`,"max_devices":2,"max_licenses":2`)
		id, key := w.inGroup(group)
		_, otherKey := w.inGroup(group)
		_, plainKey := w.create(9, 0)
		full := w.manage(http.MethodPost, "", `{"customer_id":"acme","group_id":"`+group+`"}`)
		w.want(full, http.StatusForbidden, errcode.GroupLimitExceeded)
		if d := full.body["details"].(map[string]any); d["group_id"] != group || d["max_licenses"] != 2.0 ||
			d["current_licenses"] != 2.0 {
			w.t.Errorf("details: %v", d)
		}
		w.want(w.post("activate", device(key, "a")), http.StatusCreated, "")
		w.want(w.post("activate", device(otherKey, "b")), http.StatusCreated, "")
		w.want(w.post("activate", device(plainKey, "c")), http.StatusCreated, "")
		for _, k := range []string{key, otherKey} {
			refused := w.post("activate", device(k, "c"))
			w.want(refused, http.StatusForbidden, errcode.GroupLimitExceeded)
			if d := refused.body["details"].(map[string]any); d["max_devices"] != 2.0 || d["current_devices"] != 2.0 {
				w.t.Errorf("details: %v", d)
			}
		}
		w.want(w.post("activate", device(key, "a")), http.StatusConflict, errcode.AlreadyActivated)
		w.agrees(w.explain(`{"license_key":"`+key+`","hardware_id":"c","operation":"activate"}`),
			w.post("activate", device(key, "c")))
		w.used(group, 2, 2)
		w.transfer(id, "a", "d")
		w.deactivate(id, "d")
		w.used(group, 2, 1)
		w.want(w.post("activate", device(otherKey, "c")), http.StatusCreated, "")
		w.want(w.groups(http.MethodPatch, "/"+group, `{"max_devices":null}`), http.StatusOK, "")
		w.want(w.post("activate", device(key, "e")), http.StatusCreated, "")
		w.want(w.groups(http.MethodPatch, "/"+group, `{"max_devices":1}`), http.StatusOK, "")
		w.want(w.post("validate", device(key, "e")), http.StatusOK, "")
		w.used(group, 2, 3)
		e := w.eventually(eventsv1.TypeGroupUpdated)
		var changed eventsv1.GroupUpdated
		if err := e.Into(&changed); err != nil || changed.GetGroup().GetGroupId() != group {
			w.t.Errorf("%v %v", &changed, err)
		}
		w.audited("group.update")
	})
}

func TestLicensesMoveBetweenGroups(t *testing.T) {
	eachWorld(t, func(w *world) {
		small, big := w.group(`,"max_devices":1`), w.group(`,"max_licenses":1`)
		id, key := w.inGroup(small)
		other, _ := w.create(9, 0)
		w.activate(key, "a")
		w.update(id, `{"group_id":"`+big+`"}`)
		w.activate(key, "b")
		before := w.get(id)
		w.want(w.manage(http.MethodPatch, "/"+id, `{"group_id":"`+small+`"}`), http.StatusForbidden,
			errcode.GroupLimitExceeded)
		w.want(w.manage(http.MethodPatch, "/"+other, `{"group_id":"`+big+`"}`), http.StatusForbidden,
			errcode.GroupLimitExceeded)
		if after := w.get(id); after["version"] != before["version"] || after["group_id"] != big {
			w.t.Errorf("the refusals changed the license: %v", after)
		}
		w.update(id, `{"max_devices":8,"group_id":"`+big+`"}`) // it has its place there
		if ids, total := w.list(map[string][]string{"group_id": {big}}); total != 1 || ids[0] != id {
			w.t.Errorf("the list of the group: %v", ids)
		}
		w.update(id, `{"group_id":null}`)
		w.used(big, 0, 0)
		w.update(other, `{"group_id":"`+big+`"}`)
		w.want(w.groups(http.MethodDelete, "/"+big, "", "If-Match", `"7"`), http.StatusPreconditionFailed,
			errcode.VersionMismatch)
		w.want(w.groups(http.MethodDelete, "/"+big, ""), http.StatusOK, "")
		if got := w.get(other); got["group_id"] != nil {
			w.t.Errorf("the group is gone, its license shows %v", got["group_id"])
		}
		w.want(w.groups(http.MethodGet, "/"+big, ""), http.StatusNotFound, errcode.GroupNotFound)
		w.want(w.groups(http.MethodDelete, "/"+big, ""), http.StatusNotFound, errcode.GroupNotFound)
		w.eventually(eventsv1.TypeGroupDeleted)
		w.audited("group.delete")
	})
}

func TestBadGroups(t *testing.T) {
	eachWorld(t, func(w *world) {
		id, _ := w.create(1, 0)
		group := w.group("")
		for _, test := range []struct {
			ask   func(method, path, body string, headers ...string) answer
			path  string
			body  string
			field string
		}{
			{w.groups, "", `{}`, "name"},
			{w.groups, "", `{"name":" "}`, "name"},
			{w.groups, "", `{"name":"x","max_devices":0}`, "max_devices"},
			{w.groups, "", `{"name":"x","max_licenses":1000001}`, "max_licenses"},
			{w.groups, "", `{"name":"x","metadata":[]}`, "metadata"},
			{w.groups, "", `{"name":"x","current_devices":1}`, "current_devices"},
			{w.groups, "/" + group, `{"name":null}`, "name"},
			{w.groups, "/" + group, `{"max_devices":-1}`, "max_devices"},
			{w.groups, "/" + group, `{"group_id":"x"}`, "group_id"},
			{w.manage, "", `{"customer_id":"a","group_id":"nonsense"}`, "group_id"},
			{w.manage, "", `{"customer_id":"a","group_id":"0199d3c5-10aa-7d21-8f0e-2b3c4d5e6f70"}`, "group_id"},
			{w.manage, "/" + id, `{"group_id":""}`, "group_id"},
			{w.manage, "/" + id, `{"group_id":"0199d3c5-10aa-7d21-8f0e-2b3c4d5e6f70"}`, "group_id"},
		} {
			method := http.MethodPatch
			if test.path == "" {
				method = http.MethodPost
			}
			got := test.ask(method, test.path, test.body)
			w.want(got, http.StatusBadRequest, errcode.ValidationError)
			details, _ := got.body["details"].(map[string]any)
			if fields, _ := details["fields"].(map[string]any); fields[test.field] == nil {
				w.t.Errorf("%s: %s", test.body, got.raw)
			}
		}
		w.want(w.groups(http.MethodGet, "/nonsense", ""), http.StatusNotFound, errcode.GroupNotFound)
		w.want(w.manage(http.MethodGet, "?group_id=nonsense", ""), http.StatusBadRequest, errcode.ValidationError)
		w.used(group, 0, 0)
	})
}

func TestBulkCreateFillsAGroup(t *testing.T) {
	eachWorld(t, func(w *world) {
		group := w.group(`,"max_licenses":2`)
		row := `{"customer_id":"acme","group_id":"` + group + `"}`
		got := w.bulk(`{"licenses":[` + row + `,{"customer_id":"acme"},` + row + `,` + row + `]}`)
		w.want(got, http.StatusMultiStatus, "")
		failed := got.body["failed"].([]any)
		if len(failed) != 1 || failed[0].(map[string]any)["error_code"] != errcode.GroupLimitExceeded ||
			failed[0].(map[string]any)["index"] != 3.0 {
			w.t.Errorf("failed: %v", failed)
		}
		w.used(group, 2, 0)
	})
}

// together makes calls at once, and counts how many of them were answered with a status. Those that a busy database
// turns away come again, as clients do.
func (w *world) together(n, status int, call func(i int) answer) int {
	var good atomic.Int32
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if got := w.persist(func() answer { return call(i) }); got.status == status {
				good.Add(1)
			}
		})
	}
	all.Wait()
	return int(good.Load())
}

func TestLimitsOfAGroupAreExactUnderRaces(t *testing.T) {
	const limit = 7
	eachWorldInTurn(t, func(w *world) {
		w.unlimitedCalls()
		group := w.group(fmt.Sprintf(`,"max_devices":%d,"max_licenses":%d`, limit, limit))
		body := `{"customer_id":"acme","max_devices":40,"group_id":"` + group + `"}`
		if made := w.together(40, http.StatusCreated, func(int) answer {
			return w.manage(http.MethodPost, "", body)
		}); made != limit {
			w.t.Errorf("%d licenses were made, want %d", made, limit)
		}
		w.used(group, limit, 0)
		var keys []string
		ids, _ := w.list(map[string][]string{"group_id": {group}})
		for _, id := range ids {
			keys = append(keys, w.manage(http.MethodPost, "/"+id+"/reveal-key", "").body["license_key"].(string))
		}
		in := w.together(40, http.StatusCreated, func(i int) answer {
			return w.post("activate", device(keys[i%len(keys)], fmt.Sprint("pc-", i)))
		})
		if in != limit {
			w.t.Errorf("%d devices got in, want %d", in, limit)
		}
		w.used(group, limit, limit)
	})
}

func TestMovesIntoAGroupAndActivationsRace(t *testing.T) {
	const limit = 10
	eachWorldInTurn(t, func(w *world) {
		w.unlimitedCalls()
		group := w.group(fmt.Sprintf(`,"max_devices":%d`, limit))
		ids, keys := make([]string, 20), make([]string, 20)
		for i := range ids {
			ids[i], keys[i] = w.create(9, 0)
			w.activate(keys[i], "first")
		}
		move := `{"group_id":"` + group + `"}`
		w.together(40, http.StatusOK, func(i int) answer {
			if i%2 == 0 {
				return w.manage(http.MethodPatch, "/"+ids[i/2], move)
			}
			return w.post("activate", device(keys[i/2], "second"))
		})
		got := w.groups(http.MethodGet, "/"+group, "").body
		devices := 0.0
		for _, id := range ids {
			if l := w.get(id); l["group_id"] == group {
				devices += l["current_devices"].(float64)
			}
		}
		if got["current_devices"] != devices || devices > limit || devices < limit-1 {
			w.t.Errorf("the group has %v devices, its licenses %v, the limit is %d",
				got["current_devices"], devices, limit)
		}
	})
}

// TestAGroupBesideOtherRules: what is read of a group does not get in the way of what is read of devices.
func TestAGroupBesideOtherRules(t *testing.T) {
	eachWorld(t, func(w *world) {
		_, key := w.with(fmt.Sprintf(`"group_id":%q,"max_devices":5,"new_devices":{"limit":2,"window_hours":1},`+
			`"device_match":"two"`, w.group(`,"max_devices":9`)))
		for _, hardwareID := range []string{"a", "b"} {
			w.want(w.post("activate", device(key, hardwareID)), http.StatusCreated, "")
		}
		w.want(w.post("activate", device(key, "c")), http.StatusForbidden, "TOO_MANY_NEW_DEVICES")
	})
}
