package license_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// endpoints are the calls that explain knows.
var endpoints = map[string]string{
	"validate": "validate", "activate": "activate", "consume": "consume", "lease": "leases", "file": "license-file",
}

// refusedCall is a call that is refused: a license with some terms, what happens to it, and what a device asks.
type refusedCall struct {
	terms string
	// prepare may answer another key to call by.
	prepare func(w *world, id, key string) string
	// operation is validate and hardwareID is pc where they are left out; pc has a seat.
	operation, hardwareID string
	more                  map[string]any
	code                  string
}

func changed(body string) func(*world, string, string) string {
	return func(w *world, id, key string) string {
		w.update(id, body)
		return key
	}
}

func blocked(body string) func(*world, string, string) string {
	return func(w *world, _, key string) string {
		w.want(w.blocks(http.MethodPost, "", `{"reason":"x",`+body+`}`), http.StatusCreated, "")
		return key
	}
}

func ofProduct(body string) func(*world, string, string) string {
	return func(w *world, id, key string) string {
		w.want(w.products(http.MethodPatch, "/"+w.get(id)["product"].(string), body), http.StatusOK, "")
		return key
	}
}

func left(hardwareIDs ...string) func(*world, string, string) string {
	return func(w *world, id, key string) string {
		for _, hardwareID := range hardwareIDs {
			w.deactivate(id, hardwareID)
		}
		return key
	}
}

func calls(endpoint, hardwareID, more string) func(*world, string, string) string {
	return func(w *world, _, key string) string {
		if got := w.post(endpoint, as(key, hardwareID, more)); got.status >= http.StatusBadRequest {
			w.t.Fatalf("%s: %d %s", endpoint, got.status, got.raw)
		}
		return key
	}
}

const (
	floatingOne = `"floating":{"slots":1,"activation":"none"}`
	exports     = `"counters":[{"name":"exports","limit":2}]`
)

var refusedCalls = map[string]refusedCall{
	"unknown key": {code: "LICENSE_NOT_FOUND", prepare: func(*world, string, string) string {
		return "LIC-NOBODY"
	}},
	"another product": {code: "LICENSE_NOT_FOUND", operation: "activate", more: map[string]any{"product": "viewer"}},
	"inactive":        {code: "LICENSE_INACTIVE", prepare: changed(`{"is_active":false}`)},
	"suspended": {code: "LICENSE_SUSPENDED", operation: "consume", terms: exports,
		more: map[string]any{"counter": "exports"}, prepare: func(w *world, id, key string) string {
			w.alter(id, "suspend", `{"reason":"unpaid"}`)
			return key
		}},
	"inactive product": {code: "PRODUCT_INACTIVE", prepare: ofProduct(`{"is_active":false}`)},
	"not started": {code: "LICENSE_NOT_STARTED", operation: "lease", terms: floatingOne,
		prepare: changed(`{"starts_at":"2090-01-01"}`)},
	"expired": {code: "LICENSE_EXPIRED", prepare: changed(`{"expires_at":"2020-01-01"}`)},
	"ended trial": {code: "LICENSE_EXPIRED", operation: "file", terms: `"is_trial":true`,
		prepare: changed(`{"expires_at":"2020-01-01"}`)},
	"old version": {code: "VERSION_NOT_COVERED", more: map[string]any{"app_version": "1.9"},
		prepare: ofProduct(`{"min_version":"2.0"}`)},
	"late release": {code: "VERSION_NOT_COVERED", operation: "lease",
		terms: floatingOne + `,"maintenance_until":"2026-01-31"`, more: map[string]any{"app_version": "3.0"},
		prepare: func(w *world, id, key string) string {
			path := "/" + w.get(id)["product"].(string) + "/releases"
			w.want(w.products(http.MethodPost, path, `{"version":"3.0","released_at":"2026-02-01"}`),
				http.StatusCreated, "")
			return key
		}},
	"blocked device": {code: "DEVICE_BLOCKED", prepare: blocked(`"hardware_id":"pc"`)},
	"blocked network": {code: "DEVICE_BLOCKED", operation: "activate", hardwareID: "new",
		prepare: blocked(`"network":"192.0.2.0/24"`)},
	"blocked component": {code: "DEVICE_BLOCKED", operation: "file", hardwareID: "new", more: components("c", "d"),
		prepare: blocked(`"component":{"name":"disk","value":"d"}`)},
	"blocked under a former id": {code: "DEVICE_BLOCKED", terms: `"device_match":"two"`, hardwareID: "third",
		more: components("c", "d"), prepare: func(w *world, id, key string) string {
			w.want(w.post("activate", says(key, "first", components("c", "d"))), http.StatusCreated, "")
			w.want(w.post("validate", says(key, "second", components("c", "d"))), http.StatusOK, "")
			return blocked(`"hardware_id":"first"`)(w, id, key)
		}},
	"network": {code: "ENVIRONMENT_NOT_ALLOWED", operation: "lease", terms: floatingOne,
		prepare: changed(`{"networks":{"deny":["192.0.2.0/24"]}}`)},
	"virtual machine": {code: "ENVIRONMENT_NOT_ALLOWED", terms: `"prevent_vm":true`,
		more: map[string]any{"is_vm": true}},
	"placeholder":        {code: "HARDWARE_ID_NOT_UNIQUE", operation: "activate", hardwareID: "00000000"},
	"placeholder leases": {code: "HARDWARE_ID_NOT_UNIQUE", operation: "lease", terms: floatingOne, hardwareID: "None"},
	"placeholder's file": {code: "HARDWARE_ID_NOT_UNIQUE", operation: "file", hardwareID: "null"},
	"activated":          {code: "ALREADY_ACTIVATED", operation: "activate"},
	"full": {code: "DEVICE_LIMIT_EXCEEDED", operation: "activate", hardwareID: "new",
		prepare: changed(`{"max_devices":1}`)},
	"full, for a file": {code: "DEVICE_LIMIT_EXCEEDED", operation: "file", hardwareID: "new",
		prepare: changed(`{"max_devices":1}`)},
	"full group": {code: "GROUP_LIMIT_EXCEEDED", operation: "activate", hardwareID: "new",
		prepare: func(w *world, id, key string) string {
			w.update(id, fmt.Sprintf(`{"group_id":%q}`, w.group(`,"max_devices":1`)))
			return key
		}},
	"churn": {code: "TOO_MANY_NEW_DEVICES", operation: "activate", hardwareID: "new",
		terms: `"new_devices":{"limit":1,"window_hours":24}`},
	"transfers": {code: "TRANSFER_LIMIT_EXCEEDED", operation: "activate", hardwareID: "new",
		terms: `"transfer_limit":0`, prepare: left("pc")},
	"no seat": {code: "DEVICE_NOT_ACTIVATED", hardwareID: "new"},
	"no seat, but a count": {code: "DEVICE_NOT_ACTIVATED", operation: "consume", hardwareID: "new", terms: exports,
		more: map[string]any{"counter": "exports"}},
	"no seat, but a lease": {code: "DEVICE_NOT_ACTIVATED", operation: "lease", hardwareID: "new",
		terms: `"floating":{"slots":1}`},
	"no entitlement": {code: "ENTITLEMENT_MISSING", more: map[string]any{"require_entitlements": []string{"x"}}},
	"no entitlement for a lease": {code: "ENTITLEMENT_MISSING", operation: "lease", terms: floatingOne,
		more: map[string]any{"entitlement": "x"}},
	"no entitlement to consume": {code: "ENTITLEMENT_MISSING", operation: "consume", terms: exports,
		more: map[string]any{"entitlement": "x"}},
	"ended entitlement": {code: "ENTITLEMENT_EXPIRED", terms: `"entitlements":[{"code":"x","expires_at":"2020-01-01"}]`,
		more: map[string]any{"require_entitlements": []string{"x"}}},
	"used up": {code: "CONSUMPTION_LIMIT_EXCEEDED", operation: "consume", terms: exports,
		more: map[string]any{"counter": "exports"}, prepare: calls("consume", "pc", `,"counter":"exports","amount":2`)},
	"used up, metered": {code: "CONSUMPTION_LIMIT_EXCEEDED", terms: exports,
		more:    map[string]any{"consume": map[string]any{"exports": 2}},
		prepare: calls("consume", "pc", `,"counter":"exports"`)},
	"more than there is": {code: "CONSUMPTION_LIMIT_EXCEEDED", operation: "consume", terms: exports,
		more: map[string]any{"counter": "exports", "amount": 3}},
	"no slot": {code: "LEASE_LIMIT_EXCEEDED", operation: "lease", terms: floatingOne,
		prepare: calls("leases", "other", "")},
	"no slot for a session": {code: "LEASE_LIMIT_EXCEEDED", operation: "lease", terms: floatingOne,
		more: map[string]any{"session_id": "b"}, prepare: calls("leases", "pc", `,"session_id":"a"`)},
	"no slot of the entitlement": {code: "LEASE_LIMIT_EXCEEDED", operation: "lease",
		more:    map[string]any{"entitlement": "x"},
		terms:   `"floating":{"slots":9,"activation":"none"},"entitlements":[{"code":"x","slots":1}]`,
		prepare: calls("leases", "other", `,"entitlement":"x"`)},
	"not floating": {code: "FLOATING_NOT_ALLOWED", operation: "lease"},
	"not borrowable": {code: "BORROWING_NOT_ALLOWED", operation: "lease", terms: floatingOne,
		more: map[string]any{"borrow_until": "2090-01-01"}},
	"not offline": {code: "OFFLINE_NOT_ALLOWED", operation: "file", terms: `"offline_activation":false`},
	"ended enrollment key": {code: "ENROLLMENT_KEY_INVALID", operation: "activate", hardwareID: "new",
		prepare: func(w *world, id, _ string) string {
			keyID, key := w.enroll(id, "")
			w.want(w.manage(http.MethodDelete, "/"+id+"/enrollment-keys/"+keyID, ""), http.StatusOK, "")
			return key
		}},
	"foreign enrollment key": {code: "ENROLLMENT_KEY_INVALID", prepare: func(w *world, id, _ string) string {
		_, key := w.enroll(id, "")
		return key
	}},
	"full enrollment key": {code: "ENROLLMENT_KEY_INVALID", operation: "activate", hardwareID: "new",
		prepare: func(w *world, id, _ string) string {
			_, key := w.enroll(id, `,"max_devices":1`)
			return calls("activate", "lab", "")(w, id, key)
		}},
}

// TestExplainNamesTheCause of refusals of all kinds, in the words of the refused call, which writes nothing, no more
// than explain.
func TestExplainNamesTheCause(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		w.unlimitedCalls()
		tokens := map[any]bool{}
		for name, refused := range refusedCalls {
			t.Log(name)
			tokens[w.explained(refused)] = true
		}
		for _, code := range []any{
			"LICENSE_INACTIVE", "LICENSE_SUSPENDED", "PRODUCT_INACTIVE", "LICENSE_NOT_STARTED", "LICENSE_EXPIRED",
			"VERSION_NOT_COVERED", "DEVICE_BLOCKED", "ENVIRONMENT_NOT_ALLOWED", "DEVICE_NOT_ACTIVATED", nil,
		} {
			if !tokens[code] {
				t.Errorf("no token was answered with %v: %v", code, tokens)
			}
		}
	})
}

// explained makes a call that is refused, and compares it with its explanation; token is the code with which the device
// would be refused a token.
func (w *world) explained(refused refusedCall) (token any) {
	w.t.Helper()
	product := fmt.Sprintf("p%d", w.clock.Now().UnixNano())
	w.clock.Advance(time.Second)
	w.want(w.products(http.MethodPost, "", fmt.Sprintf(`{"code":%q}`, product)), http.StatusCreated, "")
	terms := fmt.Sprintf(`"product":%q`, product)
	if refused.terms != "" {
		terms += "," + refused.terms
	}
	if refused.code != "DEVICE_LIMIT_EXCEEDED" {
		terms += `,"max_devices":9`
	}
	id, key := w.with(terms)
	w.activate(key, "pc")
	if refused.prepare != nil {
		key = refused.prepare(w, id, key)
	}
	body := map[string]any{"license_key": key, "hardware_id": "pc"}
	if refused.hardwareID != "" {
		body["hardware_id"] = refused.hardwareID
	}
	maps.Copy(body, refused.more)
	operation := "validate"
	if refused.operation != "" {
		operation = refused.operation
	}
	call, _ := json.Marshal(body)
	body["operation"], body["address"] = operation, "192.0.2.1"
	question, _ := json.Marshal(body)
	w.post("validate", device(key, "pc")) // tells of the end of the license
	if operation == "file" {
		w.post(endpoints[operation], string(call)) // makes the signing key of the product
	}
	before, license := w.rows(), w.get(id)
	explained := w.explain(string(question))
	called := w.post(endpoints[operation], string(call))
	w.agrees(explained, called)
	if called.body["error_code"] != refused.code {
		w.t.Errorf("%s: %d %s, want %s", operation, called.status, called.raw, refused.code)
	}
	if diff := cmp.Diff(before, w.rows()); diff != "" || !cmp.Equal(license, w.get(id)) {
		w.t.Errorf("a refused %s wrote something: %s", operation, diff)
	}
	token = w.tokenAgrees(id, body)
	if diff := cmp.Diff(before, w.rows()); diff != "" || !cmp.Equal(license, w.get(id)) {
		w.t.Errorf("asking for a token wrote something: %s", diff)
	}
	w.unblock()
	return token
}

// tokenAgrees asks for the token of a device as auth does, and compares the answer with its explanation.
func (w *world) tokenAgrees(id string, of map[string]any) (code any) {
	w.t.Helper()
	question := map[string]any{"license_id": id, "operation": "token"}
	for _, member := range []string{"hardware_id", "app_version", "is_vm", "address", "user_token"} {
		if value, given := of[member]; given {
			question[member] = value
		}
	}
	called := w.checkDevice(question)
	w.agrees(w.explain(text(question)), called)
	return called.body["error_code"]
}

// unblock takes all blocks back.
func (w *world) unblock() {
	w.t.Helper()
	for _, b := range w.blocks(http.MethodGet, "", "").body["blocks"].([]any) {
		w.want(w.blocks(http.MethodDelete, "/"+b.(map[string]any)["block_id"].(string), ""), http.StatusOK, "")
	}
}

// rows counts the rows of all tables that calls of devices write, except what runs beside the calls: the relay of
// events and the writer of sightings.
func (w *world) rows() map[string]int64 {
	w.t.Helper()
	tables := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if w.db.Engine() == db.Postgres {
		tables = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`
	}
	var names []string
	if err := w.db.Read(w.t.Context()).Raw(tables).Scan(&names).Error; err != nil {
		w.t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, name := range names {
		var n int64
		if err := w.db.Read(w.t.Context()).Table(name).Count(&n).Error; err != nil {
			w.t.Fatal(err)
		}
		if name != "outbox_unsent" && name != "seen_periods" {
			counts[name] = n
		}
	}
	if counts["licenses"] == 0 || counts["devices"] == 0 {
		w.t.Fatalf("%v", counts)
	}
	return counts
}
