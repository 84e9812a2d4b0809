package licensefile_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/proto/licensefile"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const licenseKey = "LIC-ABCDEFGHIJKL"

// pair is a key pair made of one byte.
func pair(fill byte) (ed25519.PublicKey, ed25519.PrivateKey) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{fill}, ed25519.SeedSize))
	return key.Public().(ed25519.PublicKey), key
}

func signer(t *testing.T, change func(*licensefile.Certificate)) licensefile.Signer {
	t.Helper()
	_, root := pair(1)
	public, key := pair(2)
	c := licensefile.Certificate{
		Use: licensefile.UseLicenses, Product: "editor", NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	if change != nil {
		change(&c)
	}
	certificate, err := licensefile.Certify(root, public, c)
	if err != nil {
		t.Fatal(err)
	}
	return licensefile.Signer{Certificate: certificate, Key: key}
}

func payload(t *testing.T, change func(*licensefile.Payload)) []byte {
	t.Helper()
	p := licensefile.Payload{
		Format: licensefile.Format, FileID: "f-1", Machines: licensefile.Machines{"machine-1"},
		License:  licensefile.License{LicenseID: "l-1", Product: "editor", Status: "active"},
		IssuedAt: now, ExpiresAt: now.Add(24 * time.Hour),
	}
	if change != nil {
		change(&p)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func check() licensefile.Check {
	root, _ := pair(1)
	return licensefile.Check{
		Root:       root,
		Product:    "editor",
		HardwareID: "machine-1",
		LicenseKey: licenseKey,
		Now:        now.Add(time.Hour),
	}
}

func TestVerify(t *testing.T) {
	encrypted, err := licensefile.Encrypt(payload(t, nil), licenseKey)
	if err != nil {
		t.Fatal(err)
	}
	device := func(license, hardware string) licensefile.Revocation {
		return licensefile.Revocation{LicenseID: license, Device: licensefile.DeviceHash(license, hardware)}
	}
	revoked := func(e licensefile.Revocation) func(*licensefile.Check) {
		return func(c *licensefile.Check) { c.Revoked = &licensefile.Revocations{Revoked: []licensefile.Revocation{e}} }
	}
	plain := signer(t, nil).Sign(licensefile.KindLicense, payload(t, nil))
	sealed := signer(t, nil).Sign(licensefile.KindEncryptedLicense, encrypted)
	for _, tt := range []struct {
		name   string
		file   []byte
		change func(*licensefile.Check)
		want   error
	}{
		{"good", plain, nil, nil},
		{"encrypted", sealed, nil, nil},
		{"any machine", signer(t, nil).
			Sign(licensefile.KindLicense, payload(t, func(p *licensefile.Payload) { p.Machines = nil })),
			func(c *licensefile.Check) { c.HardwareID = "another" }, nil},
		{"no machine", signer(t, nil).Sign(licensefile.KindLicense,
			payload(t, func(p *licensefile.Payload) { p.Machines = licensefile.Machines{} })), nil,
			licensefile.ErrMachine},
		{"encrypted, the key as it is typed", sealed, func(c *licensefile.Check) {
			c.LicenseKey = " " + strings.ToLower(licenseKey) + "\n"
		}, nil},
		{"other license key", sealed, func(c *licensefile.Check) { c.LicenseKey = "LIC-OTHER" }, licensefile.ErrKey},
		{"other root", plain, func(c *licensefile.Check) { c.Root, _ = pair(2) }, licensefile.ErrAltered},
		{"no root", plain, func(c *licensefile.Check) { c.Root = nil }, licensefile.ErrAltered},
		{"other product", plain, func(c *licensefile.Check) { c.Product = "viewer" }, licensefile.ErrProduct},
		{"other machine", plain, func(c *licensefile.Check) { c.HardwareID = "machine-2" }, licensefile.ErrMachine},
		{"at its end", plain, func(c *licensefile.Check) { c.Now = now.Add(24 * time.Hour) }, licensefile.ErrExpired},
		{"just before its end", plain, func(c *licensefile.Check) { c.Now = now.Add(24*time.Hour - time.Second) }, nil},
		{"clock a little behind", plain, func(c *licensefile.Check) { c.Now = now.Add(-4 * time.Minute) }, nil},
		{"clock behind", plain, func(c *licensefile.Check) { c.Now = now.Add(-time.Hour) }, licensefile.ErrEarly},
		{"license revoked", plain, revoked(licensefile.Revocation{LicenseID: "l-1"}), licensefile.ErrRevoked},
		{"a machine as it reads its id", signer(t, nil).Sign(licensefile.KindLicense,
			payload(t, func(p *licensefile.Payload) { p.Machines = licensefile.Machines{"caf\u00e9 1"} })),
			func(c *licensefile.Check) { c.HardwareID = " cafe\u0301 1\n" }, nil},
		{"machine revoked", plain, revoked(device("l-1", "machine-1")),
			licensefile.ErrRevoked},
		{"another machine revoked", plain, revoked(device("l-1", "machine-2")),
			nil},
		{"the key of another product", signer(t, func(c *licensefile.Certificate) { c.Product = "viewer" }).
			Sign(licensefile.KindLicense, payload(t, nil)), nil, licensefile.ErrAltered},
		{"a key for lists", signer(t, func(c *licensefile.Certificate) { c.Use = licensefile.UseRevocations }).
			Sign(licensefile.KindLicense, payload(t, nil)), nil, licensefile.ErrAltered},
		{"issued after its key's time", signer(t, func(c *licensefile.Certificate) {
			c.NotAfter = now.Add(-time.Minute)
		}).
			Sign(licensefile.KindLicense, payload(t, nil)), nil, licensefile.ErrAltered},
		{"a list", signer(t, func(c *licensefile.Certificate) { c.Use = licensefile.UseRevocations }).
			Sign(licensefile.KindRevocations, []byte("{}")), nil, licensefile.ErrKind},
		{"no file", []byte("hello"), nil, licensefile.ErrAltered},
		{"nothing", nil, nil, licensefile.ErrAltered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := check()
			if tt.change != nil {
				tt.change(&c)
			}
			p, err := licensefile.Verify(tt.file, c)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil && p.License.LicenseID != "l-1" {
				t.Errorf("read %+v", p)
			}
		})
	}
}

func TestEveryAlteredByteIsNoticed(t *testing.T) {
	file := signer(t, nil).Sign(licensefile.KindLicense, payload(t, nil))
	for i := range file {
		for _, b := range []byte{file[i] ^ 1, ' ', '\n', 'A', '='} {
			if b == file[i] {
				continue
			}
			altered := bytes.Clone(file)
			altered[i] = b
			if _, err := licensefile.Verify(altered, check()); !errors.Is(err, licensefile.ErrAltered) {
				t.Fatalf("byte %d as %q: %v", i, b, err)
			}
		}
	}
	text := string(file)
	for name, altered := range map[string]string{
		"a line more":       text + "\n",
		"no last line":      text[:len(text)-1],
		"Windows lines":     strings.ReplaceAll(text, "\n", "\r\n"),
		"a text before":     "x" + text,
		"two files":         text + text,
		"longer lines":      strings.Replace(text, "\n", "", 2),
		"without signature": text[:strings.Index(text, "-----BEGIN LATCHKEY SIGNATURE")],
		"as encrypted":      strings.ReplaceAll(text, "LATCHKEY LICENSE", "LATCHKEY ENCRYPTED LICENSE"),
	} {
		if _, err := licensefile.Verify([]byte(altered), check()); !errors.Is(err, licensefile.ErrAltered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRevocationsApply(t *testing.T) {
	entry := func(id string) licensefile.Revocation { return licensefile.Revocation{LicenseID: id} }
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	issued := func(hour int, r *licensefile.Revocations) *licensefile.Revocations {
		r.IssuedAt = now.Add(time.Duration(hour) * time.Hour)
		return r
	}
	whole := func(number int64, ids ...string) *licensefile.Revocations {
		r := issued(0, &licensefile.Revocations{Number: number})
		for _, id := range ids {
			r.Revoked = append(r.Revoked, entry(id))
		}
		return r
	}
	changes := func(since, number int64) *licensefile.Revocations {
		return &licensefile.Revocations{
			Number: number, Since: since, Revoked: []licensefile.Revocation{entry("new")},
			Reinstated: []licensefile.Revocation{entry("a")},
		}
	}
	for _, tt := range []struct {
		name        string
		have, later *licensefile.Revocations
		number      int64
		ids         string
	}{
		{"first list", nil, whole(3, "a"), 3, "a"},
		{"changes", whole(3, "a", "b"), changes(3, 4), 4, "b new"},
		{"changes since an earlier list, which may lack some", whole(3, "a", "b"), changes(2, 4), 3, "a b"},
		{"changes that leave a gap", whole(3, "a"), changes(4, 5), 3, "a"},
		{"an older list", whole(3, "a"), whole(2), 3, "a"},
		{"a whole later list", whole(3, "a"), whole(4, "c"), 4, "c"},
		{"a later list of a restored server", whole(3, "a"), issued(1, whole(2, "c")), 2, "c"},
		{"an older list of it", issued(1, whole(3, "a")), whole(2, "c"), 3, "a"},
		{"changes of it, of which nobody knows since when", whole(3, "a"), issued(1, changes(1, 2)), 3, "a"},
		{"a list whose server's clock was ahead before", issued(1, whole(3, "a")), whole(4, "c"), 4, "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.have.Apply(tt.later)
			var ids []string
			for _, e := range got.Revoked {
				ids = append(ids, e.LicenseID)
			}
			if got.Number != tt.number || strings.Join(ids, " ") != tt.ids {
				t.Errorf("number %d with %v", got.Number, ids)
			}
		})
	}
}

// A machine may hold as many entries as MaxListSize lets it: comparing each with each would take it minutes.
func TestRevocationsApplyToALongList(t *testing.T) {
	const n = 200_000
	have := &licensefile.Revocations{Number: 1}
	later := &licensefile.Revocations{Number: 2, Since: 1}
	for i := range n {
		e := licensefile.Revocation{LicenseID: strconv.Itoa(i / 2), Device: strconv.Itoa(i % 2)}
		have.Revoked = append(have.Revoked, e)
		if i%2 == 0 {
			later.Reinstated = append(later.Reinstated, e)
		}
	}
	if left := have.Apply(later).Revoked; len(left) != n/2 || left[0].Device != "1" {
		t.Errorf("%d entries are left", len(left))
	}
}

func FuzzOpen(f *testing.F) {
	root, rootKey := pair(1)
	public, key := pair(2)
	certificate, err := licensefile.Certify(rootKey, public, licensefile.Certificate{Use: licensefile.UseLicenses})
	if err != nil {
		f.Fatal(err)
	}
	file := licensefile.Signer{Certificate: certificate, Key: key}.Sign(licensefile.KindLicense, []byte("{}"))
	f.Add(file)
	f.Add([]byte("-----BEGIN LATCHKEY LICENSE-----\n-----END LATCHKEY LICENSE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := licensefile.Open(root, b); err == nil && !bytes.Equal(b, file) {
			t.Errorf("opened %q", b)
		}
	})
}
