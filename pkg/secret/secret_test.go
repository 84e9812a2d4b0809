package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

func TestSecretHidesItself(t *testing.T) {
	const canary = "canary-5f2c9e"
	s := struct{ Token secret.Secret }{canary}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s.Token, "struct", s)
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, shown := range map[string]string{
		"%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", s), "%#v": fmt.Sprintf("%#v", s),
		"%s": fmt.Sprintf("token %s", s.Token),
		"%q": fmt.Sprintf("%q", s.Token), "json": string(asJSON), "slog": log.String(),
	} {
		if strings.Contains(shown, canary) {
			t.Errorf("%s shows the secret: %s", name, shown)
		}
	}
	if s.Token.Reveal() != canary {
		t.Error("Reveal does not reveal")
	}
}

func TestNewIsWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := secret.New("sk_")
		if len(s) != 52 || !secret.WellFormed("sk_", s) {
			t.Fatalf("%q is not well formed", s)
		}
		if seen[s] {
			t.Fatalf("%q was made twice", s)
		}
		seen[s] = true
	}
}

func TestWellFormedRefuses(t *testing.T) {
	good := secret.New("sk_")
	for name, s := range map[string]string{
		"empty": "", "prefix only": "sk_", "other prefix": "rt_" + good[3:], "cut off": good[:len(good)-1],
		"longer":      good + "0",
		"not base 62": good[:10] + "-" + good[11:], "from the documentation": "sk_your_api_key_here",
	} {
		if secret.WellFormed("sk_", s) {
			t.Errorf("%s is well formed", name)
		}
	}
	for i := 3; i < len(good); i++ {
		typo := []byte(good)
		typo[i] = 'A' + (typo[i]+1)%26
		if typo[i] != good[i] && secret.WellFormed("sk_", string(typo)) {
			t.Errorf("a typing error at %d goes unnoticed", i)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"abc", "abc", true}, {"abc", "abd", false}, {"abc", "ab", false}, {"", "", true}, {"", "a", false}} {
		if got := secret.Equal(tt.a, tt.b); got != tt.want {
			t.Errorf("Equal(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}

func TestWeak(t *testing.T) {
	for _, weak := range []string{
		"", "short", strings.Repeat("a", 64), strings.Repeat("abc", 20), "please-CHANGEME-please-please-please-1",
		"this-is-an-example-secret-of-some-length",
		"0123456789abcdef0123456789abcdef",
	} {
		if secret.Weak(weak) == "" {
			t.Errorf("%q passes", weak)
		}
	}
	for range 1000 {
		if s := secret.New(""); secret.Weak(s) != "" {
			t.Errorf("%q is refused: %s", s, secret.Weak(s))
		}
	}
	if why := secret.Weak("8f14e45fceea167a5a36dedd4bea2543"); why != "" {
		t.Errorf("32 hexadecimal digits are refused: it %s", why)
	}
}

func FuzzWellFormed(f *testing.F) {
	f.Add(secret.New("sk_"))
	f.Add("sk_")
	f.Fuzz(func(t *testing.T, s string) {
		if secret.WellFormed("sk_", s) && len(s) != 52 {
			t.Errorf("%q is well formed", s)
		}
	})
}
