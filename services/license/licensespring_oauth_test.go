package license_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// withClient makes an integration, and returns the credentials of OAuth, too.
func (w *world) withClient(members string) (s *springs, clientID, clientSecret string) {
	w.t.Helper()
	made := w.integrations(http.MethodPost, "",
		`{"name":"Server","rate_limit":{"per_minute":0,"per_hour":0}`+members+`}`)
	w.must(made, http.StatusCreated)
	return w.springsOf(made), made.body["client_id"].(string), made.body["client_secret"].(string)
}

// tokens posts a form to the token endpoint; headers are more of them.
func (w *world) tokens(form url.Values, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/api/v4/oauth/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.public.ServeHTTP(rec, req)
	return rec
}

func credentials(id, secret string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
}

// oauthToken gets a token.
func (w *world) oauthToken(id, secret string) string {
	w.t.Helper()
	rec := w.tokens(credentials(id, secret))
	var got map[string]any
	if json.Unmarshal(rec.Body.Bytes(), &got) != nil || rec.Code != http.StatusOK || got["token_type"] != "Bearer" ||
		got["expires_in"] != 480.0 || rec.Header().Get("Cache-Control") != "no-store" {
		w.t.Fatalf("token: %d %s", rec.Code, rec.Body)
	}
	return got["access_token"].(string)
}

// withToken sends a call with a bearer token, and no Date.
func (w *world) withToken(token, method, path, body string) *httptest.ResponseRecorder {
	w.t.Helper()
	req := httptest.NewRequest(method, "/api/v4/"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	w.public.ServeHTTP(rec, req)
	return rec
}

func TestLicenseSpringTokens(t *testing.T) {
	eachWorld(t, func(w *world) {
		s, id, secret := w.withClient("")
		_, key := w.create(1, 0)
		where := httptest.NewRecorder()
		w.public.ServeHTTP(where, httptest.NewRequest(http.MethodGet,
			"http://licenses.example/api/v4/oauth_url?login_type=client_credentials", nil))
		if where.Body.String() !=
			`{"url":"http://licenses.example/api/v4/oauth/token","login_type":"client_credentials"}` {
			t.Errorf("url: %d %s", where.Code, where.Body)
		}
		token := w.oauthToken(id, secret)
		use := `{"product":"default","hardware_id":"pc","license_key":"` + key + `"}`
		check := "check_license?product=default&hardware_id=pc&license_key=" + key
		s.object(w.withToken(token, http.MethodPost, "activate_license", use))
		s.object(w.withToken(token, http.MethodGet, check, ""))
		basic := w.tokens(url.Values{"grant_type": {"client_credentials"}}, "Authorization", basicAuth(id, secret))
		if basic.Code != http.StatusOK {
			t.Errorf("by HTTP Basic: %d %s", basic.Code, basic.Body)
		}
		for _, broken := range []string{"x", token[:len(token)-2], token + "AA", strings.ToUpper(token), "..", "a b"} {
			s.refused(w.withToken(broken, http.MethodGet, check, ""), 400, "oauth_token_malformed")
		}
		w.clock.Advance(480 * time.Second)
		s.refused(w.withToken(token, http.MethodGet, check, ""), 400, "oauth_token_expired")
		s.object(s.get("check_license", key, "pc"))

		token = w.oauthToken(id, secret)
		rotated := w.integrations(http.MethodPost, "/"+s.integration+"/rotate", `{"overlap_hours":0}`)
		w.want(rotated, http.StatusOK, "")
		s.refused(w.withToken(token, http.MethodGet, check, ""), 400, "revoked_api_key")
		s.oauthRefused(w.tokens(credentials(id, secret)), 401, "unauthorized_client")
		token = w.oauthToken(rotated.body["client_id"].(string), rotated.body["client_secret"].(string))
		s.object(w.withToken(token, http.MethodGet, check, ""))
		w.want(w.integrations(http.MethodDelete, "/"+s.integration, ""), http.StatusOK, "")
		s.refused(w.withToken(token, http.MethodGet, check, ""), 400, "revoked_api_key")
	})
}

func basicAuth(id, secret string) string {
	req := httptest.NewRequest(http.MethodPost, "/", nil)
	req.SetBasicAuth(id, secret)
	return req.Header.Get("Authorization")
}

// oauthRefused reports whether a refusal has the form of RFC 6749 beside that of the API.
func (s *springs) oauthRefused(rec *httptest.ResponseRecorder, status int, code string) {
	s.t.Helper()
	var body map[string]any
	if json.Unmarshal(rec.Body.Bytes(), &body) != nil || rec.Code != status || body["error"] != code ||
		body["code"] != code || body["status"] != float64(status) || body["error_description"] == "" {
		s.t.Errorf("got %d %s, want %d %s", rec.Code, rec.Body, status, code)
	}
}

func TestLicenseSpringTokensRefuse(t *testing.T) {
	eachWorld(t, func(w *world) {
		s, id, secret := w.withClient(`,"read_only":true,"products":["default"]`)
		_, key := w.create(1, 0)
		s.oauthRefused(w.tokens(credentials(id, secret+"x")), 401, "invalid_client")
		s.oauthRefused(w.tokens(credentials("nobody", secret)), 401, "invalid_client")
		s.oauthRefused(w.tokens(credentials(s.apiKey, s.sharedKey)), 401, "invalid_client")
		s.oauthRefused(w.tokens(url.Values{"grant_type": {"client_credentials"}}), 400, "invalid_request")
		s.oauthRefused(w.tokens(credentials(id, secret), "Authorization", basicAuth(id, secret)), 400,
			"invalid_request")
		form := credentials(id, secret)
		form.Add("client_secret", "another")
		s.oauthRefused(w.tokens(form), 400, "invalid_request")
		form = credentials(id, secret)
		form.Set("grant_type", "password")
		s.oauthRefused(w.tokens(form), 400, "unsupported_grant_type")
		unknown := w.tokens(credentials("nobody", secret))
		if got := unknown.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic realm=") {
			t.Errorf("refused with %q", got)
		}
		token := w.oauthToken(id, secret)
		s.refused(w.withToken(token, http.MethodPost, "activate_license", "{}"), 400, "read_only_api_key")
		s.refused(w.withToken(token, http.MethodGet, "product_details?product=other", ""), 400, "unknown_product")
		sso := `,"id_token":"a","customer_account_code":"b"`
		active := w.licenseSpring("")
		s.refused(active.post("activate_license", key, "pc", sso), 400, "sso_not_supported")
		s.refused(active.post("activate_license", "", "pc", `,"code":"a","customer_account_code":"b"`), 400,
			"sso_not_supported")
		for _, path := range []string{"sso_url", "sso_url?product=default", "oauth_url?login_type=sso"} {
			s.refused(active.ask(http.MethodGet, path, ""), 400, "sso_not_supported")
		}
		s.refused(active.ask(http.MethodGet, "oauth_url", ""), 400, "missing_parameters")
	})
}

// TestLicenseSpringWrongClocks: whose clock is wrong learns it however often, and others behind the same address go on.
func TestLicenseSpringWrongClocks(t *testing.T) {
	eachWorld(t, func(w *world) {
		s := w.licenseSpring("")
		old := w.clock.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
		for range 100 {
			s.refused(s.ask(http.MethodGet, "products", "", "Date", old), 400, "date_header_diff")
		}
		s.refused(s.ask(http.MethodGet, "products", "", "Date", "yesterday"), 400, "authorization_invalid_headers")
	})
}
