package idempotency_test

import (
	"context"
	"crypto/sha256"
	"net/http/httptest"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
)

func TestFromRequest(t *testing.T) {
	for name, tt := range map[string]struct {
		headers []string
		want    string
		refused bool
	}{
		"absent":      {nil, "", false},
		"plain":       {[]string{"a-1 b~"}, "a-1 b~", false},
		"longest":     {[]string{strings.Repeat("x", 255)}, strings.Repeat("x", 255), false},
		"too long":    {[]string{strings.Repeat("x", 256)}, "", true},
		"empty":       {[]string{""}, "", true},
		"control":     {[]string{"a\x01"}, "", true},
		"not ASCII":   {[]string{"schlüssel"}, "", true},
		"two headers": {[]string{"a", "a"}, "", true},
	} {
		req := httptest.NewRequest("POST", "/api/v1/admin/licenses", nil)
		req.Header["Idempotency-Key"] = tt.headers
		got, err := idempotency.FromRequest(req, "admin-1", []byte(`{}`))
		if refused := err != nil; got.Key != tt.want || refused != tt.refused ||
			refused && apierr.From(err).Kind != apierr.Invalid {
			t.Errorf("%s: %q, %v", name, got.Key, err)
		}
	}
}

func TestFromRequestKnowsAPathHoweverItIsEscaped(t *testing.T) {
	hash := func(path string) [32]byte {
		req := httptest.NewRequest("POST", path, nil)
		req.Header.Set("Idempotency-Key", "k")
		k, err := idempotency.FromRequest(req, "s", nil)
		if err != nil {
			t.Fatal(err)
		}
		return k.Request
	}
	if hash("/licens%65s?x=%41") != hash("/licenses?x=%41") {
		t.Error("one path escaped in two ways is taken for two")
	}
}

func TestFromRequestTellsRequestsApart(t *testing.T) {
	seen := map[[32]byte]string{}
	for _, call := range [][3]string{{"POST", "/a", "{}"}, {"PUT", "/a", "{}"}, {"POST", "/b", "{}"},
		{"POST", "/a?x", "{}"}, {"POST", "/a", `{"a":1}`}, {"POST", "/a", `{"b":1}`}, {"POST", "/a", `{"a":2}`},
		{"POST", "/a", `{"a":"1"}`}, {"POST", "/a", `{"a":[1,2]}`}, {"POST", "/a", `{"a":[2,1]}`}, {"POST", "/a", ""}} {
		req := httptest.NewRequest(call[0], call[1], nil)
		req.Header.Set("Idempotency-Key", "k")
		k, err := idempotency.FromRequest(req, "s", []byte(call[2]))
		if before, again := seen[k.Request]; again || err != nil {
			t.Errorf("%v is taken for %s (%v)", call, before, err)
		}
		seen[k.Request] = strings.Join(call[:], " ")
	}
}

func keyFor(t *testing.T, body string) idempotency.Key {
	t.Helper()
	req := httptest.NewRequest("POST", "/a", nil)
	req.Header.Set("Idempotency-Key", "k")
	k, err := idempotency.FromRequest(req, "s", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestBodiesAreComparedAsValues: an encoder that orders members anew each time can repeat its calls.
func TestBodiesAreComparedAsValues(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		sent := `{"license_key": "K", "os_info": {"name": "a", "version": "\u0062"}}`
		if _, err := r.create(keyFor(t, sent), "first", nil); err != nil {
			t.Fatal(err)
		}
		again := keyFor(t, `{"os_info":{"version":"b","name":"a"},"license_key":"K"}`)
		if got, err := r.create(again, "second", nil); err != nil || got.ID != "first" {
			t.Errorf("%+v, %v", got, err)
		}
		// What an earlier version kept is the sum of what was sent.
		kept := sha256.Sum256([]byte("POST\x00/a\x00" + sent))
		err := r.db.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Exec("UPDATE idempotency_keys SET request = ?", kept[:]).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.create(keyFor(t, sent), "second", nil); err != nil || got.ID != "first" {
			t.Errorf("kept by an earlier version: %+v, %v", got, err)
		}
	})
}
