//go:build unix

package e2e

import (
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func changeAPIKey(w *harness) {
	id, key := w.apiKey(`{"client_name":"c5","allowed_endpoints":["*"]}`)
	validate := func() answer {
		return w.call("POST", w.LicenseURL+"/api/v1/license/validate", device(w.LicenseKey, "x"), "X-API-Key", key)
	}
	w.want(validate(), 200, "")
	url := w.AuthURL + "/api/v1/auth/api-keys/" + id
	a := w.want(w.call("PATCH", url, `{"rate_limit":{"per_minute":600}}`, "X-Admin-Secret", w.AdminSecret), 200, "")
	if limit, _ := a.body["rate_limit"].(map[string]any); limit["per_minute"] != 600.0 {
		w.Errorf("PATCH: %s", a.raw)
	}
	w.eventually(func() error {
		if got := validate().header.Get("X-RateLimit-Limit"); got != "600" {
			return fmt.Errorf("the limit in force is %s", got)
		}
		return nil
	})
	w.want(w.admin("PATCH", "/api-keys/"+id, `{"rate_limit":{"per_minute":700},"client_name":"renamed"}`), 200, "")
	w.eventually(func() error {
		if got := validate().header.Get("X-RateLimit-Limit"); got != "700" {
			return fmt.Errorf("the limit in force is %s", got)
		}
		return nil
	})
}

func shippedKey(w *harness) {
	per := func(body string) any {
		a := w.want(w.call("POST", w.AuthURL+"/api/v1/auth/api-key", body, "X-Admin-Secret", w.AdminSecret), 201, "")
		limit, _ := a.body["rate_limit"].(map[string]any)
		return limit["per"]
	}
	if got := per(`{"client_name":"app"}`); got != "address" {
		w.Errorf("a shipped key limits per %v", got)
	}
	if got := per(`{"client_name":"back end","allowed_endpoints":["*"]}`); got != "key" {
		w.Errorf("another key limits per %v", got)
	}
}

// pair takes a token pair for a fresh device.
func (w *harness) pair(licenseID, hardwareID string) (access, refresh string) {
	w.Helper()
	a := w.want(w.call("POST", w.AuthURL+"/api/v1/auth/token",
		fmt.Sprintf(`{"license_id":%q,"hardware_id":%q}`, licenseID, hardwareID), "X-API-Key", w.APIKey), 200, "")
	return a.text("access_token"), a.text("refresh_token")
}

func (w *harness) refresh(token string, headers ...string) answer {
	w.Helper()
	return w.call("POST", w.AuthURL+"/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, token), headers...)
}

func lostRefresh(w *harness) {
	id, key := w.create(`{"customer_id":"c7"}`)
	w.want(w.license("activate", device(key, "pc")), 201, "")
	_, first := w.pair(id, "pc")
	second := w.want(w.refresh(first, "Idempotency-Key", "r-1"), 200, "")
	again := w.want(w.refresh(first, "Idempotency-Key", "r-1"), 200, "")
	if again.text("refresh_token") != second.text("refresh_token") {
		w.Error("the same Idempotency-Key answers another pair")
	}
	third := w.want(w.refresh(second.text("refresh_token")), 200, "")
	again = w.want(w.refresh(second.text("refresh_token")), 200, "") // the answer with third was lost
	if again.text("refresh_token") != third.text("refresh_token") {
		w.Error("a refresh that is repeated at once answers another pair")
	}
	fourth := w.want(w.refresh(third.text("refresh_token")), 200, "")
	w.want(w.refresh(second.text("refresh_token")), 401, "INVALID_TOKEN") // its pair is in use: somebody else has it
	w.want(w.refresh(fourth.text("refresh_token")), 401, "INVALID_TOKEN")
}

func pastedKeys(w *harness) {
	id, key := w.create(`{"customer_id":"c8"}`)
	w.want(w.license("activate", device(key, "pc")), 201, "")
	body := strings.TrimPrefix(key, "LIC-")
	wide := strings.Map(func(r rune) rune { return r - '!' + '！' }, key)
	forms := []string{key + "\r\n", "\n" + key, "\t" + key, " " + key + " ", strings.ToLower(key), "\u200b" + key,
		key + "\u200e", "\ufeff" + key, wide}
	for _, hyphen := range "\u2010\u2011\u2012\u2013\u2014\u2212\uff0d" {
		forms = append(forms, "LIC"+string(hyphen)+body)
	}
	for _, form := range forms {
		a := w.license("validate", device(form, "pc"))
		if a.status != 200 || a.body["valid"] != true {
			w.Errorf("%q: %d %s", form, a.status, a.raw)
		}
	}
	access, _ := w.pair(id, "pc")
	offline := w.want(w.call("POST", w.LicenseURL+"/api/v1/license/offline-token", `{}`, "Authorization",
		"Bearer "+access), 201, "").text("token")
	w.want(w.call("POST", w.LicenseURL+"/api/v1/license/validate-offline", fmt.Sprintf(`{"token":%q}`, offline+"\n")),
		200, "")
	for _, form := range []string{" pc", "pc ", "pc\n", "\ufeffpc"} {
		if a := w.license("validate", device(key, form)); a.body["valid"] != true {
			w.Errorf("hardware id %q: %s", form, a.raw)
		}
	}
}

// slowClock: clients check an offline token themselves, some with a clock that is minutes late.
func slowClock(w *harness) {
	f := newForge(w)
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(f.offline, claims); err != nil {
		w.Fatal(err)
	}
	issued, err := claims.GetIssuedAt()
	if err != nil || time.Since(issued.Time) < 4*time.Minute {
		w.Errorf("iat gives slow clocks no time: %v, %v", issued, err)
	}
}
