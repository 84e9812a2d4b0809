package licensespring

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime/multipart"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
)

// offlineVectors are requests that other implementations wrote.
type offlineVectors struct {
	vectors
	Flat []struct {
		SharedKey     string `json:"shared_key"`
		SigningString string `json:"signing_string"`
		Signature     string
		Body          string `json:"body_base64"`
	} `json:"offline_v1"`
	Wrapped []struct {
		SharedKey string `json:"shared_key"`
		Request   string `json:"request_bytes"`
		Signature string
		Body      string `json:"body_base64"`
	} `json:"offline_v2"`
	Answer  offlineVector `json:"offline_response"`
	Refresh offlineVector `json:"offline_refresh_file"`
}

// offlineVector is an answer, in Body, or a file.
type offlineVector struct {
	SharedKey string `json:"shared_key"`
	APIKey    string `json:"api_key"`
	Covered   string `json:"covered_by_v2"`
	Body      string `json:"response_body"`
	File      string `json:"file_base64"`
}

// text is the JSON of the answer or the file.
func (v *offlineVector) text(t *testing.T) []byte {
	t.Helper()
	if v.Body != "" {
		return []byte(v.Body)
	}
	text, err := base64.StdEncoding.DecodeString(v.File)
	if err != nil || len(text) == 0 {
		t.Fatalf("a vector without text: %v", err)
	}
	return text
}

func TestOfflineRequests(t *testing.T) {
	var v offlineVectors
	readVectors(t, &v)
	if len(v.Flat) != 2 || len(v.Wrapped) != 2 {
		t.Fatalf("%d and %d vectors", len(v.Flat), len(v.Wrapped))
	}
	for _, f := range v.Flat {
		o, err := readOffline("text/plain", []byte(f.Body+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if text := o.flatText(o.Date); text != f.SigningString {
			t.Errorf("signs %q, want %q", text, f.SigningString)
		}
		if o.Signature != f.Signature || !o.signedBy(&integration.Key{SharedKey: f.SharedKey}) ||
			o.signedBy(&integration.Key{SharedKey: "another"}) {
			t.Errorf("%+v", o)
		}
	}
	for _, w := range v.Wrapped {
		o, err := readOffline("application/json", []byte(w.Body))
		if err != nil {
			t.Fatal(err)
		}
		if string(o.wrapped) != w.Request || !o.signedBy(&integration.Key{SharedKey: w.SharedKey}) {
			t.Errorf("signs %s, want %s", o.wrapped, w.Request)
		}
		if o.sent.Hostname != "Ünï-host" {
			t.Errorf("hostname %q", o.sent.Hostname)
		}
	}
}

// TestOfflineAnswers: the signatures of answers and refresh files that another implementation made are what we make of
// the same members.
func TestOfflineAnswers(t *testing.T) {
	var v offlineVectors
	readVectors(t, &v)
	for name, tt := range map[string]struct {
		offlineVector
		members []string // beside license_signature_v2, those that it does not cover
	}{
		"answer":       {v.Answer, []string{"license_signature"}},
		"refresh file": {v.Refresh, nil},
	} {
		var said struct {
			LicenseKey         string  `json:"license_key"`
			HardwareID         string  `json:"hardware_id"`
			Validity           *string `json:"validity_period"`
			Date               string  `json:"date"`
			OfflineSignature   string  `json:"offline_signature"`
			LicenseSignature   string  `json:"license_signature"`
			LicenseSignatureV2 string  `json:"license_signature_v2"`
		}
		text := tt.text(t)
		if err := json.Unmarshal(text, &said); err != nil {
			t.Fatal(err)
		}
		if !v.verifies(t, licenseText(said.HardwareID, said.LicenseKey, said.Validity), said.LicenseSignature) {
			t.Errorf("%s: license_signature is over another text", name)
		}
		o := offlineRequest{sent: request{LicenseKey: said.LicenseKey, HardwareID: said.HardwareID}}
		o.APIKey = v.Answer.APIKey
		if got := sum(v.Answer.SharedKey, o.flatText(said.Date)); got != said.OfflineSignature {
			t.Errorf("%s: offline_signature %s, want %s", name, got, said.OfflineSignature)
		}
		covered := without(t, text, append(tt.members, "license_signature_v2"))
		if covered != tt.Covered || !v.verifies(t, []byte(covered), said.LicenseSignatureV2) {
			t.Errorf("%s: license_signature_v2 covers %s, want %s", name, covered, tt.Covered)
		}
	}
}

// without is a text as clients print it again without some of its last members.
func without(t *testing.T, text []byte, members []string) string {
	t.Helper()
	kept := string(likeJavaScript(text))
	for _, name := range slices.Backward(append([]string{}, members...)) {
		at := strings.LastIndex(kept, `,"`+name+`":`)
		if at < 0 {
			t.Fatalf("%s has no %s at its end", kept, name)
		}
		kept = kept[:at] + "}"
	}
	return kept
}

// TestOurOfflineAnswers: in what we answer the members that license_signature_v2 does not cover stand last.
func TestOurOfflineAnswers(t *testing.T) {
	body := offlineBody{HardwareID: "pc", OfflineSignature: "s=", licenseBody: licenseBody{CustomFields: []struct{}{}}}
	answer := printed(offlineSignatures{body, "one", "two"})
	if got := without(t, answer, []string{"license_signature", "license_signature_v2"}); got != string(printed(body)) {
		t.Errorf("the answer is signed over %s, clients look at %s", printed(body), got)
	}
	file := refreshFile{offlineBody: body, LicenseSignature: "one"}
	covered := string(printed(file))
	file.LicenseSignatureV2 = "two"
	if got := without(t, printed(file), []string{"license_signature_v2"}); got != covered ||
		!strings.HasSuffix(covered, `,"license_signature":"one"}`) {
		t.Errorf("the file is signed over %s, clients look at %s", covered, got)
	}
}

// TestOfflineRefusalsSayWhat is missing, in the words of the documentation.
func TestOfflineRefusalsSayWhat(t *testing.T) {
	for body, want := range map[string]string{
		`{"date":"d","signature":"s"}`: "license_key, hardware_id, api_key",
		`{"license_key":" ","hardware_id":" ","date":"d","api_key":"a","signature":"s"}`: "license_key, hardware_id",
		`{"username":"u","hardware_id":"h","api_key":"a"}`:                               "date, signature",
	} {
		_, err := readOffline("", []byte(base64.StdEncoding.EncodeToString([]byte(body))))
		want = "some parameters are missing in authorization: " + want
		if e := apierr.From(err); e.Code != "authorization_missing_params" || e.Message != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

func TestOfflineRequestsThatAreNone(t *testing.T) {
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	const flat = `{"license_key":"K","hardware_id":"h","date":"d","api_key":"a","signature":"s"}`
	if _, err := readOffline("", []byte(encoded(flat))); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		"":              "missing_parameters",
		" \n":           "missing_parameters",
		flat:            "authorization_missing_params",
		encoded("{"):    "authorization_missing_params",
		encoded("7"):    "authorization_missing_params",
		encoded(`{}`):   "authorization_missing_params",
		encoded("\xff"): "authorization_missing_params",
		encoded(strings.Replace(flat, `"license_key":"K",`, "", 1)): "authorization_missing_params",
		encoded(strings.Replace(flat, `"hardware_id":"h",`, "", 1)): "authorization_missing_params",
		encoded(strings.Replace(flat, `"date":"d",`, "", 1)):        "authorization_missing_params",
		encoded(strings.Replace(flat, `"api_key":"a",`, "", 1)):     "authorization_missing_params",
		encoded(strings.Replace(flat, `"h"`, `"h\nx"`, 1)):          "VALIDATION_ERROR",
		encoded(strings.Replace(flat, `"K"`, `"K\nx"`, 1)):          "VALIDATION_ERROR",
		encoded(strings.Replace(flat, `"a"`, `"a\rx"`, 1)):          "VALIDATION_ERROR",
		encoded(strings.Replace(flat, `"K"`, `7`, 1)):               "VALIDATION_ERROR",
	} {
		if _, err := readOffline("text/plain", []byte(body)); !isCode(err, want) {
			t.Errorf("%.60q: %v, want %s", body, err, want)
		}
	}
}

func TestOfflineForms(t *testing.T) {
	text := base64.StdEncoding.EncodeToString([]byte(
		`{"license_key":"K","hardware_id":"h","date":"d","api_key":"a","signature":"s"}`))
	form := func(name string) (string, []byte) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		part, err := w.CreateFormFile(name, "ls_activation.req")
		if err == nil {
			_, err = part.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		return w.FormDataContentType(), body.Bytes()
	}
	if _, err := readOffline(form("file")); err != nil {
		t.Error(err)
	}
	if _, err := readOffline(form("other")); !isCode(err, "missing_parameters") {
		t.Error(err)
	}
	for _, broken := range []string{"multipart/form-data", "multipart/form-data; boundary=x"} {
		if _, err := readOffline(broken, []byte(text)); !isCode(err, "missing_parameters") {
			t.Errorf("%s: %v", broken, err)
		}
	}
}

func FuzzReadOffline(f *testing.F) {
	f.Add("text/plain", []byte("eyJyZXF1ZXN0Ijp7fX0="))
	f.Add("multipart/form-data; boundary=x",
		[]byte("--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\ne30=\r\n--x--"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		o, err := readOffline(contentType, body)
		if err == nil && (o.id() == "" || o.sent.HardwareID == "" || strings.Contains(o.sent.HardwareID, "\n")) {
			t.Errorf("%+v", o)
		}
		if err == nil {
			_ = o.signedBy(&integration.Key{SharedKey: "s"})
		}
	})
}
