package keyring_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/keyring"
)

func key(fill byte) []byte { return bytes.Repeat([]byte{fill}, keyring.KeySize) }

func ring(t *testing.T, service string, current []byte, previous ...[]byte) *keyring.Ring {
	t.Helper()
	r, err := keyring.New(service, current, previous...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSealAndOpen(t *testing.T) {
	old, bound := ring(t, "auth", key(1)), []byte("row-1")
	sealed, err := old.Seal("signing", []byte("secret"), bound)
	if err != nil {
		t.Fatal(err)
	}
	if old.SealedBy(sealed) != old.Name() {
		t.Errorf("sealed by %q, want %q", old.SealedBy(sealed), old.Name())
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	tests := []struct {
		name    string
		ring    *keyring.Ring
		purpose string
		sealed  []byte
		bound   []byte
		err     error
	}{
		{"same ring", old, "signing", sealed, bound, nil},
		{"as the previous key", ring(t, "auth", key(2), key(1)), "signing", sealed, bound, nil},
		{"key is gone", ring(t, "auth", key(2)), "signing", sealed, bound, keyring.ErrUnknownKey},
		{"other service", ring(t, "license", key(1)), "signing", sealed, bound, keyring.ErrTampered},
		{"other purpose", old, "answers", sealed, bound, keyring.ErrTampered},
		{"other row", old, "signing", sealed, []byte("row-2"), keyring.ErrTampered},
		{"flipped bit", old, "signing", flipped, bound, keyring.ErrTampered},
		{"cut off", old, "signing", sealed[:20], bound, keyring.ErrTampered},
		{"empty", old, "signing", nil, bound, keyring.ErrTampered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plain, err := tt.ring.Open(tt.purpose, tt.sealed, tt.bound)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && string(plain) != "secret" {
				t.Errorf("opened %q", plain)
			}
		})
	}
}

func TestEveryFlippedByteIsNoticed(t *testing.T) {
	r := ring(t, "auth", key(1))
	sealed, err := r.Seal("p", []byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 0x40
		if _, err := r.Open("p", changed, nil); err == nil {
			t.Errorf("byte %d may be changed unnoticed", i)
		}
	}
}

func TestMACs(t *testing.T) {
	before, during := ring(t, "license", key(1)), ring(t, "license", key(2), key(1))
	stored, macs := before.MAC("key", []byte("LIC-1")), during.MACs("key", []byte("LIC-1"))
	if len(macs) != 2 || macs[0] != during.MAC("key", []byte("LIC-1")) {
		t.Fatalf("got %d hashes, want the current one first and one more", len(macs))
	}
	if macs[1] != stored {
		t.Error("what was stored under the previous key is not found")
	}
	seen := map[keyring.MAC]bool{stored: true, macs[0]: true}
	for name, other := range map[string]keyring.MAC{
		"data":    before.MAC("key", []byte("LIC-2")),
		"purpose": before.MAC("other", []byte("LIC-1")),
		"service": ring(t, "auth", key(1)).MAC("key", []byte("LIC-1")),
	} {
		if seen[other] {
			t.Errorf("another %s gives the same hash", name)
		}
		seen[other] = true
	}
}

func TestKeyLength(t *testing.T) {
	if _, err := keyring.New("auth", key(1)[:31]); err == nil {
		t.Error("a short key was taken")
	}
	if _, err := keyring.New("auth", key(1), nil); err == nil {
		t.Error("an empty previous key was taken")
	}
}

func TestParseKey(t *testing.T) {
	raw := append([]byte{0xfb, 0xff}, key(0x3e)[2:]...)
	for _, form := range []string{
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw), " " + base64.RawURLEncoding.EncodeToString(raw) + "\n",
	} {
		if got, err := keyring.ParseKey(form); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%q: %v", form, err)
		}
	}
	for _, bad := range []string{"", "short", base64.StdEncoding.EncodeToString(raw[:31]), strings.Repeat("!", 44)} {
		_, err := keyring.ParseKey(bad)
		if err == nil {
			t.Errorf("%q was taken", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	r, err := keyring.New("auth", key(1))
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := r.Seal("p", []byte("secret"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := r.Open("p", b, nil); err == nil && !bytes.Equal(b, sealed) {
			t.Errorf("%x was opened", b)
		}
	})
}
