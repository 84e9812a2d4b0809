package server

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOwnCertificate: the one of the file is trusted on this computer, and no other.
func TestOwnCertificate(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	file := filepath.Join(t.TempDir(), "cert.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.pem")
	writeCertificate(t, other, filepath.Join(t.TempDir(), "other.key"), "other")
	for name, want := range map[string]string{file: "", other: "another certificate"} {
		own, err := OwnCertificate(name)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: own}).Get(s.URL)
		if err == nil {
			res.Body.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
