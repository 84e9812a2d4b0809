package licensespring

import (
	"bytes"
	"encoding/base64"
	"mime/multipart"
	"strings"
	"testing"

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
	Answer struct {
		SharedKey string `json:"shared_key"`
		Covered   string `json:"covered_by_v2"`
		Signature string `json:"license_signature_v2"`
		Body      string `json:"response_body"`
	} `json:"offline_response"`
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

// TestOfflineAnswer: without its last two members an answer is what license_signature_v2 covers.
func TestOfflineAnswer(t *testing.T) {
	var v offlineVectors
	readVectors(t, &v)
	if !v.verifies(t, []byte(v.Answer.Covered), v.Answer.Signature) {
		t.Error("the vector does not verify")
	}
	body := offlineBody{HardwareID: "pc", OfflineSignature: "s=", licenseBody: licenseBody{CustomFields: []struct{}{}}}
	covered := string(printed(body))
	whole := string(printed(offlineSignatures{body, "one", "two"}))
	want := strings.TrimSuffix(covered, "}") + `,"license_signature":"one","license_signature_v2":"two"}`
	if whole != want {
		t.Errorf("%s, want %s", whole, want)
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
