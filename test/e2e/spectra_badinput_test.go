//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestBadInputOfSpectraAnalyze sends every operation of the dialect what it must refuse: the error of the dialect,
// never a 5xx, and the installation stays what it is.
func TestBadInputOfSpectraAnalyze(t *testing.T) {
	w := start(t, embedded)
	b := newAttacker(w)
	token := []string{"Authorization", "Token " + w.AdminAPIKey}
	state := func() string {
		return string(w.want(w.call(http.MethodGet, w.LicenseURL+"/api/v1/license/", "", token...), 200, "").raw)
	}
	before := state()
	operations := b.dialect("spectra-analyze")
	if len(operations) != 10 {
		t.Errorf("%d operations are attacked, not 10", len(operations))
	}
	for _, op := range operations {
		t.Run(op.OperationID, func(t *testing.T) {
			a := spectraAttacker{b.as(t), op, token}
			a.credentials()
			a.otherMethods()
			if strings.HasSuffix(op.path, "/cloud") {
				a.accounts()
			}
			if strings.HasSuffix(op.path, "/upload") {
				a.forms()
			}
		})
	}
	if after := state(); after != before {
		t.Errorf("refused requests left traces:\nbefore %s\nafter  %s", before, after)
	}
}

// spectraAttacker attacks one operation of the dialect.
type spectraAttacker struct {
	*attacker
	op    operation
	token []string
}

// refuses demands one of the statuses, and the form of the dialect.
func (a spectraAttacker) refuses(what, method, body string, statuses []int, headers ...string) {
	a.Helper()
	got := a.call(method, a.op.url+a.op.path, body, headers...)
	code, _ := got.body["code"].(float64)
	detail, _ := got.body["detail"].(map[string]any)
	if !slices.Contains(statuses, got.status) || int(code) != got.status || got.text("message") == "" ||
		detail["error_code"] == "" || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		a.Errorf("%.60q: %d %.300s", what, got.status, got.raw)
	}
}

func (a spectraAttacker) credentials() {
	key := a.AdminAPIKey
	for _, value := range []string{"", "Token", "Token ", "Bearer " + key, key, "Token " + key + "x",
		"Token " + strings.Repeat("k", 5000), "Token " + a.APIKey, "Token \xff\xfe"} {
		a.refuses("authorization "+value, a.op.method, "", []int{http.StatusUnauthorized}, "Authorization", value)
	}
	a.refuses("no authorization", a.op.method, "", []int{http.StatusUnauthorized})
}

func (a spectraAttacker) otherMethods() {
	known := a.op.item.Operations()
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
		if known[method] == nil {
			a.refuses(method, method, "{}", []int{http.StatusMethodNotAllowed}, a.token...)
		}
	}
}

// accounts are bodies that name no account.
func (a spectraAttacker) accounts() {
	good := map[string]string{
		"url": `"https://licenses.invalid"`, "user": `"u"`, "token": `"t"`, "timeout": "1", "proxy_host": `""`,
		"proxy_port": "0", "proxy_user": `""`, "proxy_password": `""`,
	}
	headers := append([]string{"Content-Type", "application/json"}, a.token...)
	bad := []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}
	for _, body := range []string{
		"", " ", `{"a":`, `[]`, `null`, `7`, `"x"`, `{}{}`, "\x00", "{\"\xff\":1}",
		strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), strings.Repeat("A", 200_000), `{}`,
	} {
		a.refuses("body "+body, http.MethodPost, body, bad, headers...)
	}
	values := append([]string{`{}`, `[]`, `true`, `-1`, `1.5`, `70000000000`}, noInput...)
	for _, name := range slices.Sorted(maps.Keys(good)) {
		for _, value := range values {
			var members []string
			for member, text := range good {
				if member == name {
					text = value
				}
				members = append(members, fmt.Sprintf("%q:%s", member, text))
			}
			a.refuses(name+" "+value, http.MethodPost, "{"+strings.Join(members, ",")+"}", bad, headers...)
		}
	}
	for _, url := range []string{
		"ftp://x", "file:///etc/passwd", "https://", "//x", "https://u:p@x.example", "https://x.example/?a=1",
		"https://127.0.0.1", "http://[::1]:5002", "https://169.254.169.254", "https://2130706433", "https://0x7f.1",
		"https://localhost", "https://x.example:99999", "gopher://x", "https://x\x00.example", "javascript:1",
	} {
		a.refuses(url, http.MethodPost, fmt.Sprintf(`{"url":%q,"user":"u","token":"t","timeout":1}`, url), bad,
			headers...)
	}
}

// forms are uploads that hold no license file.
func (a spectraAttacker) forms() {
	bad := []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}
	form := func(part, content string) (contentType, body string) {
		var buf bytes.Buffer
		writer := multipart.NewWriter(&buf)
		file, err := writer.CreateFormFile(part, "license")
		if err == nil {
			_, err = file.Write([]byte(content))
		}
		if err != nil || writer.Close() != nil {
			a.Fatal(err)
		}
		return writer.FormDataContentType(), buf.String()
	}
	for _, content := range []string{"", "x", "\x00\x01\xff", strings.Repeat("A", 60_000), strings.Repeat("A", 300_000),
		"-----BEGIN LATCHKEY CERTIFICATE-----\n-----END LATCHKEY CERTIFICATE-----\n", `{"a":1}`} {
		for _, part := range []string{"file", "license", "", "file\x00"} {
			contentType, body := form(part, content)
			a.refuses("part "+part+": "+content, http.MethodPut, body, bad,
				append([]string{"Content-Type", contentType}, a.token...)...)
		}
	}
	open := "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc"
	for contentType, body := range map[string]string{
		"multipart/form-data":                                      "--x\r\n\r\n",
		"multipart/form-data; boundary=x":                          open,
		"multipart/form-data; boundary=\"":                         "--x--",
		"multipart/form-data; boundary=" + strings.Repeat("x", 80): "--x--",
		"application/x-www-form-urlencoded":                        "file=x",
		"application/json":                                         `{"file":"x"}`,
		"text/plain":                                               "x",
		"":                                                         "x",
	} {
		a.refuses(contentType, http.MethodPut, body, bad, append([]string{"Content-Type", contentType}, a.token...)...)
	}
}
