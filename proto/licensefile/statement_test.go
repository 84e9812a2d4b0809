package licensefile_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/proto/licensefile"
)

func statement(t *testing.T, change func(*licensefile.Statement)) []byte {
	t.Helper()
	s := licensefile.Statement{
		Format: licensefile.StatementFormat, Nonce: "n-1", HardwareID: "machine-1", LicenseID: "l-1",
		Product: "editor", LicenseType: "subscription", Status: "active", IssuedAt: now,
	}
	if change != nil {
		change(&s)
	}
	payload, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestOpenStatement(t *testing.T) {
	kind := licensefile.KindStatement
	good := signer(t, nil).Sign(kind, statement(t, nil))
	asked := func(change func(*licensefile.Question)) licensefile.Question {
		q := licensefile.Question{Nonce: "n-1", HardwareID: "machine-1", LicenseID: "l-1", Product: "editor", Now: now}
		if change != nil {
			change(&q)
		}
		return q
	}
	certified := func(change func(*licensefile.Certificate)) []byte {
		return signer(t, change).Sign(kind, statement(t, nil))
	}
	said := func(change func(*licensefile.Statement)) []byte {
		return signer(t, nil).Sign(kind, statement(t, change))
	}
	for name, tt := range map[string]struct {
		file []byte
		q    licensefile.Question
		want error
	}{
		"good": {good, asked(nil), nil},
		"any license of any product": {good, asked(func(q *licensefile.Question) { q.LicenseID, q.Product = "", "" }),
			nil},
		"a replay": {good, asked(func(q *licensefile.Question) { q.Nonce = "n-2" }), licensefile.ErrNonce},
		"no nonce at all": {said(func(s *licensefile.Statement) { s.Nonce = "" }),
			asked(func(q *licensefile.Question) { q.Nonce = "" }), licensefile.ErrNonce},
		"another machine's": {good, asked(func(q *licensefile.Question) { q.HardwareID = "machine-2" }),
			licensefile.ErrMachine},
		"another license": {good, asked(func(q *licensefile.Question) { q.LicenseID = "l-2" }), licensefile.ErrLicense},
		"another product": {good, asked(func(q *licensefile.Question) { q.Product = "viewer" }),
			licensefile.ErrProduct},
		"another format": {said(func(s *licensefile.Statement) { s.Format = licensefile.Format }), asked(nil),
			licensefile.ErrAltered},
		"a product that the key is not for": {said(func(s *licensefile.Statement) { s.Product = "viewer" }),
			asked(nil), licensefile.ErrAltered},
		"a key for lists": {certified(func(c *licensefile.Certificate) { c.Use = licensefile.UseRevocations }),
			asked(nil), licensefile.ErrAltered},
		"a key that has ended": {certified(func(c *licensefile.Certificate) { c.NotAfter = now.Add(-time.Minute) }),
			asked(nil), licensefile.ErrAltered},
		"by a clock that is a day ahead": {good,
			asked(func(q *licensefile.Question) { q.Now = now.Add(24 * time.Hour) }), nil},
		"a key that has ended for whoever asks": {good, asked(func(q *licensefile.Question) {
			q.Now = now.Add(26 * time.Hour)
		}), licensefile.ErrAltered},
		"the same bytes as a license file": {signer(t, nil).Sign(licensefile.KindLicense, statement(t, nil)),
			asked(nil), licensefile.ErrKind},
		"cut":     {good[:len(good)-2], asked(nil), licensefile.ErrAltered},
		"nothing": {nil, asked(nil), licensefile.ErrAltered},
	} {
		root, _ := pair(1)
		if _, err := licensefile.OpenStatement(root, tt.file, tt.q); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if other, _ := pair(3); tt.want == nil {
			if _, err := licensefile.OpenStatement(other, tt.file, tt.q); !errors.Is(err, licensefile.ErrAltered) {
				t.Errorf("%s: under another root %v", name, err)
			}
		}
	}
	if _, err := licensefile.Verify(good, check()); !errors.Is(err, licensefile.ErrKind) {
		t.Errorf("a statement as a license file: %v", err)
	}
}
