package appliance

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// issuer signs statements of the license l-1.
type issuer struct {
	root   ed25519.PublicKey
	signer file.Signer
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	root, rootKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const year = 365 * 24 * time.Hour
	certificate, err := file.Certify(rootKey, public, file.Certificate{
		Use: file.UseLicenses, Product: "editor", NotBefore: noon.Add(-year), NotAfter: noon.Add(year),
	})
	if err != nil {
		t.Fatal(err)
	}
	return issuer{root, file.Signer{Certificate: certificate, Key: key}}
}

func (s issuer) sign(kind file.Kind, change func(*file.Statement)) func(machineID, nonce string) string {
	return func(machineID, nonce string) string {
		said := file.Statement{
			Format: file.StatementFormat, Nonce: nonce, HardwareID: machineID, LicenseID: "l-1", Product: "editor",
			LicenseType: "subscription", Status: "active", IssuedAt: noon, UsableUntil: noon.Add(90 * 24 * time.Hour),
		}
		if change != nil {
			change(&said)
		}
		payload, _ := json.Marshal(said) // plain members always marshal
		return string(s.signer.Sign(kind, payload))
	}
}

// trusting is a fixture that knows the issuers.
func trusting(t *testing.T, roots ...ed25519.PublicKey) *fixture {
	f := newFixture(t)
	f.Trust.Roots = func(context.Context) ([]ed25519.PublicKey, error) { return roots, nil }
	return f
}

// TestAnUpstreamProvesItself: what does not prove to be the issuer's answer of now licenses nobody, neither at first
// nor later on.
func TestAnUpstreamProvesItself(t *testing.T) {
	vendor, stranger := newIssuer(t), newIssuer(t)
	good := vendor.sign(file.KindStatement, nil)
	earlier := good(machine, "an earlier nonce")
	changed := func(change func(*file.Statement)) func(string, string) string {
		return vendor.sign(file.KindStatement, change)
	}
	for name, tt := range map[string]struct {
		sign func(machineID, nonce string) string
		want Status
	}{
		"signed": {good, Valid},
		"a clock two days ahead": {changed(func(s *file.Statement) { s.IssuedAt = noon.Add(48 * time.Hour) }),
			Valid},
		"a clock two days behind": {changed(func(s *file.Statement) { s.IssuedAt = noon.Add(-48 * time.Hour) }), Valid},
		"not signed":              {nil, GracePeriod},
		"another's signature":     {stranger.sign(file.KindStatement, nil), GracePeriod},
		"a replay":                {func(string, string) string { return earlier }, GracePeriod},
		"for another machine":     {changed(func(s *file.Statement) { s.HardwareID = "machine-2" }), GracePeriod},
		"of another license":      {changed(func(s *file.Statement) { s.LicenseID = "l-2" }), GracePeriod},
		"of another product":      {changed(func(s *file.Statement) { s.Product = "viewer" }), GracePeriod},
		"a license file":          {vendor.sign(file.KindLicense, nil), GracePeriod},
		"signed beyond the key's end": {
			changed(func(s *file.Statement) { s.IssuedAt = noon.Add(1000 * 24 * time.Hour) }), GracePeriod,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := trusting(t, stranger.root[:31], vendor.root)
			f.upstream.sign = good
			if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
				t.Fatal(err)
			}
			f.upstream.sign = tt.sign
			f.clock.Advance(2 * time.Minute)
			err := f.Check(t.Context())
			if said := apierr.From(err); (err == nil) != (tt.want == Valid) ||
				err != nil && said.Code != errcode.UpstreamNotTrusted {
				t.Errorf("the check says %v", err)
			}
			f.want("at the next check", tt.want)
			if tt.want != Valid {
				f.clock.Advance(Grace)
				f.want("after the grace", Expired)
			}
		})
	}
}

func TestAnUpstreamThatProvesNothingIsNotConnected(t *testing.T) {
	vendor, stranger := newIssuer(t), newIssuer(t)
	f := trusting(t, vendor.root)
	f.upstream.sign = stranger.sign(file.KindStatement, nil)
	err := f.Connect(t.Context(), ada, account("k-1"))
	if e := apierr.From(err); e == nil || e.Code != errcode.UpstreamNotTrusted {
		t.Errorf("connected: %v", err)
	}
	f.want("refused", Unlicensed)
	if len(f.upstream.taken) != 0 || f.store.entries != 0 {
		t.Errorf("the seats %v and %d entries are left", f.upstream.taken, f.store.entries)
	}
	f.upstream.sign = vendor.sign(file.KindStatement, nil)
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	if got := f.store.kept.Cloud.Answer; got.LicenseType != "subscription" || got.Statement != "" ||
		!got.UsableUntil.Equal(noon.Add(90*24*time.Hour)) {
		t.Errorf("kept %+v, which is not what was signed", got)
	}
	// Connected again without a proof: the seat that is in use stays, also where its upstream is named in another way.
	again := account("k-1")
	again.URL += "/"
	f.upstream.sign = nil
	for _, a := range []Account{account("k-1"), again} {
		if err := f.Connect(t.Context(), ada, a); err == nil {
			t.Error("connected without a proof")
		}
		if f.want("still", Valid); len(f.upstream.taken) != 1 {
			t.Errorf("the seats %v are left", f.upstream.taken)
		}
	}
	f.upstream.sign = vendor.sign(file.KindStatement, nil)
	if err := f.Connect(t.Context(), ada, again); err != nil || len(f.upstream.taken) != 1 {
		t.Errorf("under another address: %v, the seats %v are left", err, f.upstream.taken)
	}
}

// TestAnAnswerIsAsOldAsTheQuestion: one that was held back does not count from when it came.
func TestAnAnswerIsAsOldAsTheQuestion(t *testing.T) {
	f := newFixture(t)
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.upstream.delay = func() { f.clock.Advance(freshFor - time.Minute) }
	f.clock.Advance(2 * time.Minute)
	if err := f.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want("the answer has come", Valid)
	f.clock.Advance(time.Minute)
	if err := f.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want("ten minutes after the question", GracePeriod)
}
