package spectra

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestToken(t *testing.T) {
	for _, good := range []string{"Token k", "token k", "TOKEN   k", " Token k "} {
		if key, ok := token([]string{good}); !ok || key != "k" {
			t.Errorf("%q: %q, %v", good, key, ok)
		}
	}
	for _, bad := range [][]string{
		nil, {""}, {"k"}, {"Token"}, {"Token "}, {"Token k k"}, {"Bearer k"}, {"Token\tk"}, {"Token k\x00"},
		{"Token k", "Token k"}, {"Token ké"}, {"Token " + strings.Repeat("k", maxToken)},
	} {
		if key, ok := token(bad); ok {
			t.Errorf("%q: %q", bad, key)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add("Token ak_x")
	f.Add("token  x ")
	f.Fuzz(func(t *testing.T, header string) {
		if key, ok := token([]string{header}); ok && (key == "" || strings.ContainsAny(key, " \r\n\x00")) {
			t.Errorf("%q is the key %q", header, key)
		}
	})
}

const sampleForm = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"license\"\r\n" +
	"Content-Type: multipart/form-data\r\n\r\nhello\r\n--b--\r\n"

// open is a form without its end.
func open(form string) string { return strings.TrimSuffix(form, "--b--\r\n") }

func TestFormFile(t *testing.T) {
	other := strings.Replace(sampleForm, `"file"`, `"other"`, 1)
	for name, tt := range map[string]struct {
		form string
		want string // empty: refused
	}{
		"one part":     {sampleForm, "hello"},
		"among others": {open(other) + sampleForm, "hello"},
		"no file":      {other, ""},
		"two files":    {open(sampleForm) + sampleForm, ""},
		"too many":     {strings.Repeat(open(other), maxParts) + sampleForm, ""},
		"cut off":      {sampleForm[:len(sampleForm)-8], ""},
		"nothing":      {"", ""},
	} {
		text, err := formFile("b", []byte(tt.form))
		if string(text) != tt.want && err == nil || (err != nil) != (tt.want == "") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func FuzzFormFile(f *testing.F) {
	f.Add("multipart/form-data; boundary=b", []byte(sampleForm))
	f.Fuzz(func(t *testing.T, contentType string, raw []byte) {
		boundary, ok := formBoundary(http.Header{"Content-Type": {contentType}})
		if !ok {
			return
		}
		if text, err := formFile(boundary, raw); err == nil && !bytes.Contains(raw, text) {
			t.Errorf("the file is %q", text)
		}
	})
}
