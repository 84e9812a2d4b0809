package app

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestDiagnosisOfWhatNoTestCanPlant(t *testing.T) {
	healthy := freeBytes
	defer func() { freeBytes = healthy }()
	disk := func(free uint64) func(*Diagnosis) {
		return func(d *Diagnosis) {
			freeBytes = func(string) (uint64, error) { return free, nil }
			d.Disk("disk", "/data")
		}
	}
	clock := func(skew time.Duration) func(*Diagnosis) {
		return func(d *Diagnosis) { d.clock("clock", "the server", skew) }
	}
	for name, tt := range map[string]struct {
		look  func(*Diagnosis)
		state string
	}{
		"room":            {disk(5 << 30), "ok"},
		"little room":     {disk(500 << 20), "WARN"},
		"no room":         {disk(5 << 20), "FAIL"},
		"clocks agree":    {clock(-time.Second), "ok"},
		"clocks differ":   {clock(-3 * time.Second), "WARN"},
		"a clock is off":  {clock(-time.Minute), "FAIL"},
		"a clock is late": {clock(10 * time.Second), "FAIL"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			d := NewDiagnosis(&out)
			tt.look(d)
			if !strings.HasPrefix(out.String(), tt.state+" ") || (d.Err() != nil) != (tt.state == "FAIL") {
				t.Errorf("%v: %s", d.Err(), out.String())
			}
		})
	}
}

func TestDiagnosisOfCertificates(t *testing.T) {
	now := time.Now()
	cert, key := certificate(t, now.Add(-time.Hour), now.Add(30*24*time.Hour))
	other, _ := certificate(t, now, now.Add(time.Hour))
	for name, tt := range map[string]struct {
		cert  string
		at    time.Time
		state string
	}{
		"good":      {cert, now, "ok"},
		"ends soon": {cert, now.Add(20 * 24 * time.Hour), "WARN"},
		"has ended": {cert, now.Add(31 * 24 * time.Hour), "FAIL"},
		"not begun": {cert, now.Add(-2 * time.Hour), "FAIL"},
		"of others": {other, now, "FAIL"},
		"not there": {"/nowhere.pem", now, "FAIL"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			NewDiagnosis(&out).certificate(tt.cert, key, tt.at)
			if !strings.HasPrefix(out.String(), tt.state+" ") {
				t.Error(out.String())
			}
		})
	}
}

// certificate writes one and its key to files.
func certificate(t *testing.T, from, until time.Time) (certFile, keyFile string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until}
	made, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, block *pem.Block) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", &pem.Block{Type: "CERTIFICATE", Bytes: made}),
		write("key.pem", &pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// The remedy is that of what the broker says, not of the virtual host that its words name as well.
func TestRemediesOfTheBroker(t *testing.T) {
	for detail, want := range map[string]string{
		`Exception (404) Reason: "NOT_FOUND - no exchange 'latchkey.events' in vhost 'latchkey'"`: "it was deleted",
		`the broker lacks the queue a.b, and this user may not declare it: import the definitions ` +
			`(Exception (404) Reason: "NOT_FOUND - no queue 'a.b' in vhost 'latchkey'")`: "it was deleted",
		`Exception (403) Reason: "ACCESS_REFUSED - access to topic 'license.suspended' in exchange 'latchkey.events' ` +
			`in vhost 'latchkey' refused for user 'license'"`: "lacks a permission",
		`Exception (403) Reason: "no access to this vhost"`:                  "make the virtual host",
		"the broker takes no messages: alarm: low on memory":                 "list_alarms",
		"no connection to publish: dial tcp 127.0.0.1:1: connection refused": "start RabbitMQ",
	} {
		if got := brokerRemedy(detail); !strings.Contains(got, want) {
			t.Errorf("%s: %s", detail, got)
		}
	}
}

func TestAFailureOfTheServerHasItsRemedy(t *testing.T) {
	var logs bytes.Buffer
	Fail(&logs, "license", fmt.Errorf("start: %w", &pgconn.PgError{Code: "25006", Message: "read-only"}))
	if !strings.Contains(logs.String(), "LATCHKEY_MAINTENANCE=true") {
		t.Errorf("told %s", &logs)
	}
}
