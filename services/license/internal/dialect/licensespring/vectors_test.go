package licensespring

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"testing"
	"time"
)

// vectors are signatures that another implementation made.
type vectors struct {
	PublicKey string `json:"rsa_public_key_pem"`
	Requests  []struct {
		SharedKey     string `json:"shared_key"`
		APIKey        string `json:"api_key"`
		Date          string
		SigningString string `json:"signing_string"`
		Signature     string
		Authorization string
	} `json:"request_signature"`
	Licenses []struct {
		HardwareID    string  `json:"hardware_id"`
		ID            string  `json:"id"`
		Validity      *string `json:"validity_period"`
		SigningString string  `json:"signing_string"`
		Signature     string  `json:"license_signature"`
	} `json:"license_signature"`
	Answers []struct {
		Body      string `json:"body_base64"`
		Signature string `json:"LicenseSignature"`
	} `json:"license_signature_header"`
}

func readVectors(t *testing.T, into any) {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// verifies reports whether signature is one over text by the key of the vectors.
func (v *vectors) verifies(t *testing.T, text []byte, signature string) bool {
	t.Helper()
	block, _ := pem.Decode([]byte(v.PublicKey))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(text)
	return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest[:], raw) == nil
}

func TestRequestSignatures(t *testing.T) {
	var v vectors
	readVectors(t, &v)
	if len(v.Requests) != 3 {
		t.Fatalf("%d vectors", len(v.Requests))
	}
	for _, r := range v.Requests {
		if got := signedDate(r.Date); got != r.SigningString {
			t.Errorf("signs %q, want %q", got, r.SigningString)
		}
		if got := sum(r.SharedKey, signedDate(r.Date)); got != r.Signature {
			t.Errorf("%s: %s, want %s", r.Date, got, r.Signature)
		}
		a, err := readAuthorization([]string{r.Authorization}, []string{r.Date})
		if err != nil || a != (authorization{r.APIKey, r.Signature, r.Date}) {
			t.Errorf("%s: %+v, %v", r.Authorization, a, err)
		}
	}
}

func TestLicenseSignatures(t *testing.T) {
	var v vectors
	readVectors(t, &v)
	if len(v.Licenses) != 2 || len(v.Answers) != 2 {
		t.Fatalf("%d and %d vectors", len(v.Licenses), len(v.Answers))
	}
	for _, l := range v.Licenses {
		text := licenseText(l.HardwareID, l.ID, l.Validity)
		if string(text) != l.SigningString || !v.verifies(t, text, l.Signature) {
			t.Errorf("signs %q, want %q", text, l.SigningString)
		}
	}
	for _, a := range v.Answers {
		body, err := base64.StdEncoding.DecodeString(a.Body)
		if err != nil || !v.verifies(t, likeJavaScript(body), a.Signature) {
			t.Errorf("%s is printed as %s, which was not signed", body, likeJavaScript(body))
		}
	}
}

func TestLikeJavaScript(t *testing.T) {
	for given, want := range map[string]string{
		``:                                `{}`,
		`{"b":1.0,"a":-0}`:                `{"b":1,"a":0}`,
		`{"z":1,"10":2,"9":3,"01":4}`:     `{"9":3,"10":2,"z":1,"01":4}`,
		`{"4294967295":1,"0":2}`:          `{"0":2,"4294967295":1}`,
		`{"a":1,"b":2,"a":3}`:             `{"a":3,"b":2}`,
		`{"n":[1e21,1e-7,0.1,[],{}]}`:     `{"n":[1e+21,1e-7,0.1,[],{}]}`,
		`{"n":[9007199254740993,1e400]}`:  `{"n":[9007199254740992,null]}`,
		`{"t":"<&>\u2028\u007f\/\u0001"}`: "{\"t\":\"<&>\u2028\u007f/\\u0001\"}",
		`{"x":[true,false,null,"a"]}`:     `{"x":[true,false,null,"a"]}`,
		`{"broken":`:                      `{}`,
	} {
		if got := string(likeJavaScript(json.RawMessage(given))); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
	want := "{\"status\":400,\"code\":\"x\",\"message\":\"a<b & \\\"c\\\"\u2028\"}"
	if got := string(printed(errorBody{Status: 400, Code: "x", Message: "a<b & \"c\"\u2028"})); got != want {
		t.Error(got)
	}
}

func TestReadAuthorization(t *testing.T) {
	const good = `algorithm="hmac-sha256",headers="date",signature="s=",apikey="k"`
	for header, want := range map[string]string{
		good: "",
		`algorithm="hmac-sha256", headers="date", signature="s=", apiKey="k"`: "",
		`APIKEY="k",Signature="s=",HEADERS="Date",Algorithm="HMAC-SHA256"`:    "",
		``:           "missing_headers",
		`apikey="k"`: "authorization_missing_params",
		`algorithm="hmac-sha256",headers="date",signature="",apikey="k"`:        "authorization_missing_params",
		`algorithm="none",headers="date",signature="s=",apikey="k"`:             "hmac_required",
		`algorithm="hmac-sha1",headers="date",signature="s=",apikey="k"`:        "hmac_required",
		`algorithm="hmac-sha256",headers="date host",signature="s=",apikey="k"`: "authorization_invalid_headers",
		good + `,apikey="l"`:    "authorization_invalid_headers",
		good + ` x`:             "authorization_invalid_headers",
		`Bearer abc`:            "authorization_invalid_headers",
		`algorithm=hmac-sha256`: "authorization_invalid_headers",
		`="x"`:                  "authorization_invalid_headers",
	} {
		_, err := readAuthorization([]string{header}, []string{"d"})
		if (err == nil) != (want == "") || err != nil && !isCode(err, want) {
			t.Errorf("%s: %v, want %s", header, err, want)
		}
	}
	for _, twice := range [][2][]string{{{good, good}, {"d"}}, {{good}, {"d", "d"}}} {
		if _, err := readAuthorization(twice[0], twice[1]); !isCode(err, "authorization_invalid_headers") {
			t.Errorf("%v: %v", twice, err)
		}
	}
}

func TestCheckDate(t *testing.T) {
	now := time.Date(2011, 6, 7, 20, 51, 35, 0, time.UTC)
	for date, want := range map[string]string{
		"Tue, 07 Jun 2011 20:51:35 GMT":   "",
		"Tue, 7 Jun 2011 20:51:35 GMT":    "",
		"Tue, 07 Jun 2011 20:36:35 GMT":   "",
		"Tue, 07 Jun 2011 21:06:35 GMT":   "",
		"Tue, 07 Jun 2011 20:36:34 GMT":   "date_header_diff",
		"Tue, 07 Jun 2011 21:06:36 GMT":   "date_header_diff",
		"Tue Jun  7 20:51:35 2011":        "authorization_invalid_headers",
		"Tuesday, 07-Jun-11 20:51:35 GMT": "authorization_invalid_headers",
		"Tue, 07 Jun 2011 20:51:35 CET":   "authorization_invalid_headers",
		"2011-06-07T20:51:35Z":            "authorization_invalid_headers",
	} {
		if err := checkDate(date, now); (err == nil) != (want == "") || err != nil && !isCode(err, want) {
			t.Errorf("%s: %v, want %s", date, err, want)
		}
	}
}

func FuzzReadAuthorization(f *testing.F) {
	f.Add(`algorithm="hmac-sha256",headers="date",signature="s=",apikey="k"`, "Tue, 07 Jun 2011 20:51:35 GMT")
	f.Fuzz(func(t *testing.T, header, date string) {
		a, err := readAuthorization([]string{header}, []string{date})
		if err == nil && (a.apiKey == "" || a.signature == "" || a.date != date) {
			t.Errorf("%+v of %q", a, header)
		}
		_ = checkDate(date, time.Unix(0, 0))
	})
}

func FuzzLikeJavaScript(f *testing.F) {
	f.Add(`{"1":"one","z":[1.5,1e21],"a\u2028":"\ud800"}`)
	f.Fuzz(func(t *testing.T, text string) {
		once := likeJavaScript(json.RawMessage(text))
		if !json.Valid(once) {
			t.Fatalf("%q becomes %q", text, once)
		}
		if again := likeJavaScript(json.RawMessage(once)); string(again) != string(once) {
			t.Errorf("%s becomes %s", once, again)
		}
	})
}
