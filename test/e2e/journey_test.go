//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestJourney walks through every endpoint of the main API as its document shows them.
func TestJourney(t *testing.T) {
	each(t, func(w *harness) {
		id, key := w.create(`{"customer_id":"acme","max_devices":5,"expires_in_days":365,"features":["feature1",` +
			`"feature2"],"is_test":false,"metadata":{"custom":"data"}}`)
		if !strings.HasPrefix(key, "LIC-") {
			t.Fatalf("license key %q", key)
		}
		w.activate(key)
		w.tokens(id, key)
		w.manage(id)
		w.analyze(id)
	})
}

func (w *harness) activate(key string) {
	w.Helper()
	a := w.want(w.license("activate", fmt.Sprintf(`{"license_key":%q,"hardware_id":"device-123",`+
		`"device_name":"Desk","os_info":{"name":"Windows","version":"10"}}`, key)), http.StatusCreated, "")
	if a.body["activated"] != true {
		w.Errorf("activation: %s", a.raw)
	}
	w.want(w.license("activate", device(key, "device-123")), http.StatusConflict, "ALREADY_ACTIVATED")
	v := w.want(w.license("validate", device(key, "device-123")), http.StatusOK, "")
	limits, _ := v.body["limits"].(map[string]any)
	if v.body["valid"] != true || fmt.Sprint(v.body["features"]) != "[feature1 feature2]" ||
		limits["max_devices"] != 5.0 || limits["current_devices"] != 1.0 {
		w.Errorf("validation: %s", v.raw)
	}
	w.want(w.license("validate", device("LIC-XXXXXXXXXXXX", "device-123")), http.StatusNotFound, "LICENSE_NOT_FOUND")
}

func (w *harness) tokens(id, key string) {
	w.Helper()
	body := fmt.Sprintf(`{"license_id":%q,"hardware_id":"device-123"}`, id)
	pair := w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/token", body, "X-API-Key", w.APIKey), http.StatusOK,
		"")
	if pair.text("token_type") != "Bearer" || pair.body["expires_in"] != 3600.0 {
		w.Errorf("token: %s", pair.raw)
	}
	access := []string{"Authorization", "Bearer " + pair.text("access_token")}
	verified := w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/verify", "", access...), http.StatusOK, "")
	if verified.body["valid"] != true || verified.text("license_id") != id {
		w.Errorf("verify: %s", verified.raw)
	}
	w.want(w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/heartbeat", `{"session_data":{"custom":"data"}}`,
		access...), http.StatusOK, "")
	offline := w.want(w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/offline-token", `{"duration_hours":24}`,
		access...), http.StatusCreated, "")
	w.want(w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/validate-offline",
		fmt.Sprintf(`{"token":%q}`, offline.text("token"))), http.StatusOK, "")
	w.want(w.license("deactivate", device(key, "device-123")), http.StatusConflict, "OFFLINE_TOKEN_ACTIVE")

	refresh := fmt.Sprintf(`{"refresh_token":%q}`, pair.text("refresh_token"))
	next := w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/refresh", refresh), http.StatusOK, "")
	if next.text("access_token") == "" || next.text("refresh_token") == pair.text("refresh_token") {
		w.Errorf("refresh: %s", next.raw)
	}
	// Once the new pair is used, the old token can only be a copy.
	w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/verify", "", "Authorization",
		"Bearer "+next.text("access_token")), http.StatusOK, "")
	w.want(w.call(http.MethodPost, w.AuthURL+"/api/v1/auth/refresh", refresh), http.StatusUnauthorized, "INVALID_TOKEN")
	for _, url := range []string{w.AuthURL + "/api/v1/auth/verify", w.LicenseURL + "/api/v1/license/offline-token"} {
		w.eventually(func() error {
			a, err := try(http.MethodPost, url, "{}", "Authorization", "Bearer "+next.text("access_token"))
			if err == nil && a.status != http.StatusUnauthorized {
				err = fmt.Errorf("a token of a revoked family still works at %s: %d", url, a.status)
			}
			return err
		})
	}
}

func (w *harness) manage(id string) {
	w.Helper()
	l := w.want(w.admin(http.MethodGet, "/licenses/"+id, ""), http.StatusOK, "")
	if _, ok := l.body["statistics"].(map[string]any); !ok || strings.Count(l.text("license_key"), "*") != 8 {
		w.Errorf("license: %s", l.raw)
	}
	patched := w.want(w.admin(http.MethodPatch, "/licenses/"+id,
		`{"max_devices":10,"is_active":true,"expires_at":"2099-12-31T23:59:59Z","features":["new_feature"],`+
			`"metadata":{}}`, "If-Match", l.header.Get("ETag")), http.StatusOK, "")
	if patched.body["max_devices"] != 10.0 || patched.text("expires_at") != "2099-12-31T23:59:59Z" {
		w.Errorf("patched: %s", patched.raw)
	}
	w.want(w.admin(http.MethodPatch, "/licenses/"+id, `{"max_devices":11}`, "If-Match", l.header.Get("ETag")),
		http.StatusPreconditionFailed, "VERSION_MISMATCH")
	list := w.want(w.admin(http.MethodGet, "/licenses?customer_id=acme&is_active=true&is_test=false"+
		"&created_after=2020-01-01&created_before=2099-01-01&expires_after=2026-01-01&expires_before=2100-01-01"+
		"&page=1&per_page=1", ""), http.StatusOK, "")
	if list.body["total"].(float64) < 1 || len(list.body["licenses"].([]any)) != 1 {
		w.Errorf("list: %s", list.raw)
	}
	moved := w.want(w.admin(http.MethodPost, "/licenses/"+id+"/transfer",
		`{"from_hardware_id":"device-123","to_hardware_id":"device-456"}`), http.StatusOK, "")
	if moved.body["transferred"] != true {
		w.Errorf("transfer: %s", moved.raw)
	}
	if active, counter := w.devices(id); active != 1 || counter != 1 {
		w.Errorf("%d devices, counter %d", active, counter)
	}
	w.want(w.admin(http.MethodPost, "/licenses/"+id+"/devices/deactivate",
		`{"hardware_id":"device-456","reason":"lost"}`), http.StatusOK, "")
	w.want(w.admin(http.MethodPost, "/licenses/"+id+"/reveal-key", ""), http.StatusOK, "")
	events := w.want(w.admin(http.MethodGet, "/licenses/"+id+"/events?hours=24", ""), http.StatusOK, "")
	for _, want := range []string{"license.created", "license.activated", "license.updated", "license.transferred",
		"device.deactivated", "license.offline_token.issued"} {
		if !strings.Contains(string(events.raw), `"`+want+`"`) {
			w.Errorf("events lack %s: %s", want, events.raw)
		}
	}
	bulk := w.want(w.admin(http.MethodPost, "/licenses/bulk-create",
		`{"licenses":[{"customer_id":"a","max_devices":5,"expires_in_days":365},{"customer_id":7},`+
			`{"customer_id":"b"}]}`), http.StatusMultiStatus, "")
	if bulk.body["created_count"] != 2.0 || bulk.body["failed_count"] != 1.0 {
		w.Errorf("bulk: %s", bulk.raw)
	}
	w.want(w.admin(http.MethodGet, "/statistics", ""), http.StatusOK, "")
	w.eventually(func() error {
		a, err := try(http.MethodGet, w.AdminURL+"/api/v1/admin/audit?license_id="+id, "", "X-Admin-API-Key",
			w.AdminAPIKey)
		if err == nil && !strings.Contains(string(a.raw), "license.reveal_key") {
			err = fmt.Errorf("the audit log lacks the last change: %s", a.raw)
		}
		return err
	})
	w.want(w.admin(http.MethodDelete, "/licenses/"+id, ""), http.StatusOK, "")
}

func (w *harness) analyze(id string) {
	w.Helper()
	w.usage(id, "activations", 1)
	w.usage(id, "heartbeats", 1)
	for path, members := range map[string][]string{
		"/licenses/" + id + "/patterns?days=30": {"activity", "devices", "places", "failures", "trend", "summary",
			"data_quality", "window"},
		"/licenses/" + id + "/risk-score": {"risk_score", "risk_level", "probability", "factors", "history",
			"calculated_at"},
		"/reports/usage?days=30": {"totals", "by_license", "by_version", "over_limit", "unused", "expiring"},
		"/dashboard":             {"live", "totals", "series", "anomalies", "risk", "failures", "versions", "map"},
	} {
		a := w.want(w.analytics(http.MethodGet, path), http.StatusOK, "")
		for _, member := range members {
			if _, ok := a.body[member]; !ok {
				w.Errorf("%s lacks %s: %s", path, member, a.raw)
			}
		}
	}
	detected := w.want(w.analytics(http.MethodPost, "/licenses/"+id+"/anomalies/detect"), http.StatusOK, "")
	if _, ok := detected.body["anomalies"].([]any); !ok {
		w.Errorf("detect: %s", detected.raw)
	}
	w.want(w.analytics(http.MethodGet, "/licenses/0199c1f0-6a52-7c3e-9d58-1f6f7f1f0a11/risk-score"),
		http.StatusNotFound, "LICENSE_NOT_FOUND")
}
