package delegated_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
	"github.com/latchkey-dev/latchkey/services/license/internal/dialect/delegated"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

const (
	masterKey = "7JCVgZbGwFB2USAlIaDyxvQm1geERImHvY24tTm5tcWVpAr//r6dcXNSVw=="
	slaveKey  = "A0ZDc2PDcMcXtkAkp/AGIC9jQQ0YGcwOW4CDslQ2OmAV9XUVZ2MZTVbS0paLiIOHDQ3Mzw0NTxmck5WTX0KWHhUFvPL"
	aComment  = "Slave key sent to company X on 05/07/19 via email"
	aToken    = "IaDyxvQm1gZbGweERIFB2bGwFB2USAlmHvY2=="
)

// knownKeys are use cases that know the two keys above, and are asked for nothing that the rules would not take.
type knownKeys struct{ t testing.TB }

func (k knownKeys) Unknown(string, licensing.Client) {}

func (k knownKeys) Find(_ context.Context, text string) (delegation.Key, error) {
	master := delegation.Master{ID: "5c80f8f9fe12df25ad48c25b", OrganisationID: "29f45dfa37864357d8c02aa4"}
	switch text {
	case masterKey:
		return delegation.Key{Master: master}, nil
	case slaveKey:
		return delegation.Key{Master: master, Slave: &delegation.Slave{ID: "6c80f8f9fe12df25ad48c25b"}}, nil
	}
	return delegation.Key{}, delegation.ErrKey.WithCause(delegation.ErrUnknownKey)
}

func (k knownKeys) AddSlave(_ context.Context, by delegation.Key, comment string) (delegation.NewSlave, error) {
	if comment != "" && comment != aComment {
		k.t.Errorf("the comment is %q", comment)
	}
	return delegation.NewSlave{Key: slaveKey, Slave: delegation.Slave{
		MasterID: by.Master.ID, OrganisationID: by.Master.OrganisationID, CreatedAt: time.UnixMilli(1576522350647),
	}}, nil
}

func (k knownKeys) Activate(_ context.Context, _ delegation.Key, c licensing.Client) (delegation.Activation, error) {
	if n := len([]rune(c.HardwareID)); n == 0 || n > 255 || strings.ContainsRune(c.HardwareID, 0) {
		k.t.Errorf("the runtime key %q got through", c.HardwareID)
	}
	return delegation.Activation{Token: aToken, TotalCredit: 300, UsedCredit: 17}, nil
}

func newEngine(t testing.TB, attempts *guard.Attempts, c clock.Clock) *gin.Engine {
	return engineOf(knownKeys{t}, attempts, c)
}

func engineOf(keys delegated.Keys, attempts *guard.Attempts, c clock.Clock) *gin.Engine {
	errors := map[string]httpx.ErrorWriter{}
	for _, path := range delegated.Paths {
		errors[path] = delegated.WriteError
	}
	e := httpx.NewEngine(httpx.Options{Service: "license", Errors: errors, Clock: c})
	delegated.New(delegated.Deps{
		Keys: keys, Attempts: attempts, Limiter: ratelimit.NewLocal(c),
	}).Routes(e)
	return e
}

func serve(e *gin.Engine, method, target, body string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, httptest.NewRequest(method, target, strings.NewReader(body)))
	return rec
}

// wantProtocol wants what clients can read: a token in its place or an error without one.
func wantProtocol(t *testing.T, rec *httptest.ResponseRecorder) {
	t.Helper()
	text := rec.Body.String()
	if !json.Valid(rec.Body.Bytes()) || rec.Code >= http.StatusInternalServerError {
		t.Errorf("%d %s", rec.Code, text)
	}
	if rec.Code < 300 && text != `{"token":"`+aToken+`","totalCredit":300,"usedCredit":17}` ||
		rec.Code >= 300 && strings.Contains(text, `"token":`) {
		t.Errorf("%d %s", rec.Code, text)
	}
}

// The example of the documents, byte for byte.
func TestTheExampleOfTheDocuments(t *testing.T) {
	e := newEngine(t, nil, clock.System{})
	for _, path := range []string{"/activate", "/activate/"} {
		rec := serve(e, http.MethodPost, path, `{
   "masterOrSlaveKey": "`+masterKey+`",
   "runtimeKey": "bGwFB2UgeERImHvY24tTr//r6dcXm5tSAlIaDyxV7JvQm1cWCVgZpANSVw=="
}`)
		if wantProtocol(t, rec); rec.Code != http.StatusCreated {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
}

// TestTheSlaveOfTheDocuments is the example for slaves, whose comment is optional.
func TestTheSlaveOfTheDocuments(t *testing.T) {
	e := newEngine(t, nil, clock.System{})
	for _, comment := range []string{`,"comment":"` + aComment + `"`, `,"comment":null`, `,"comment":""`, ``} {
		rec := serve(e, http.MethodPost, "/slaves", `{"masterKey":"`+masterKey+`"`+comment+`}`)
		if want := `{"organisation":"29f45dfa37864357d8c02aa4","master":"5c80f8f9fe12df25ad48c25b","used":false,` +
			`"createDate":1576522350647,"key":"` + slaveKey + `"}`; rec.Code >= 300 || rec.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", comment, rec.Code, rec.Body, want)
		}
	}
}

// A guesser is stopped before the next key is looked at; anyone who holds a key behind the same address is not.
func TestGuessedKeysAreBounded(t *testing.T) {
	c := clock.NewFake(clock.System{}.Now())
	e := newEngine(t, guard.New(c, 5), c)
	body := func(key string) string { return `{"masterOrSlaveKey":"` + key + `","runtimeKey":"pc-1"}` }
	if rec := serve(e, http.MethodPost, "/activate", body(slaveKey)); rec.Code != http.StatusCreated {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	limited := 0
	for range 200 {
		rec := serve(e, http.MethodPost, "/activate", body(strings.Repeat("g", 60)))
		if wantProtocol(t, rec); rec.Code == http.StatusTooManyRequests && rec.Header().Get("Retry-After") != "" {
			limited++
		} else if rec.Code != http.StatusBadRequest {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	if limited < 100 {
		t.Errorf("of 200 guesses only %d were stopped", limited)
	}
	if rec := serve(e, http.MethodPost, "/activate", body(slaveKey)); rec.Code != http.StatusCreated {
		t.Errorf("the holder of a key: %d %s", rec.Code, rec.Body)
	}
}

// strangersKeys count what strangers cost.
type strangersKeys struct {
	knownKeys
	found, told int
}

func (k *strangersKeys) Find(ctx context.Context, text string) (delegation.Key, error) {
	k.found++
	return k.knownKeys.Find(ctx, text)
}

func (k *strangersKeys) Unknown(string, licensing.Client) { k.told++ }

// TestStrangersCostLittle: what can be no key is neither looked up nor told, and beyond the limit of its address
// nothing is told. Beyond it only what has the form of our keys is looked up, so many a second.
func TestStrangersCostLittle(t *testing.T) {
	const limit, burst = 5, 64
	random := func(i, size int) string {
		return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%0*d", size, i))
	}
	for name, tt := range map[string]struct {
		key         func(i int) string
		found, told int
	}{
		"too short":                 {func(i int) string { return fmt.Sprintf("key-%d", i) }, 0, 0},
		"too long":                  {func(i int) string { return fmt.Sprintf("%01025d", i) }, 0, 0},
		"of another form":           {func(i int) string { return fmt.Sprintf("%040d", i) }, limit, limit},
		"of a length of no key":     {func(i int) string { return random(i, 60) }, limit, limit},
		"in the form of our master": {func(i int) string { return random(i, 43) }, limit + burst, limit},
		"in the form of our slave":  {func(i int) string { return random(i, 104) }, limit + burst, limit},
	} {
		c := clock.NewFake(clock.System{}.Now())
		keys := &strangersKeys{knownKeys: knownKeys{t}}
		e := engineOf(keys, guard.New(c, limit), c)
		for i := range 200 {
			rec := serve(e, http.MethodPost, "/activate", `{"masterOrSlaveKey":"`+tt.key(i)+`","runtimeKey":"pc-1"}`)
			if wantProtocol(t, rec); i >= limit != (rec.Code == http.StatusTooManyRequests) {
				t.Fatalf("%s: call %d: %d %s", name, i+1, rec.Code, rec.Body)
			}
		}
		if keys.found != tt.found || keys.told != tt.told {
			t.Errorf("%s: %d looked up and %d told, want %d and %d", name, keys.found, keys.told, tt.found, tt.told)
		}
	}
}

// A key has the allowance of an API key, and its own.
func TestCallsOfAKeyAreLimited(t *testing.T) {
	c := clock.NewFake(clock.System{}.Now())
	e := newEngine(t, nil, c)
	body := func(key string) string { return `{"masterOrSlaveKey":"` + key + `","runtimeKey":"pc-1"}` }
	for i := range 61 {
		want := http.StatusCreated
		if i == 60 {
			want = http.StatusTooManyRequests
		}
		if rec := serve(e, http.MethodPost, "/activate", body(slaveKey)); rec.Code != want {
			t.Fatalf("call %d: %d %s", i+1, rec.Code, rec.Body)
		}
	}
	if rec := serve(e, http.MethodPost, "/activate", body(masterKey)); rec.Code != http.StatusCreated {
		t.Errorf("another key: %d %s", rec.Code, rec.Body)
	}
}

func FuzzActivate(f *testing.F) {
	for _, body := range []string{
		`{"masterOrSlaveKey":"` + masterKey + `","runtimeKey":"pc-1"}`,
		`{"masterOrSlaveKey":"` + slaveKey + `","runtimeKey":"\u0000"}`, `{"runtimeKey":"\"token\":"}`, `{"a "b""}`, ``,
		`{"masterOrSlaveKey":"` + slaveKey + `","runtimeKey":"` + strings.Repeat("\u00e9", 256) + `"}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		wantProtocol(t, serve(newEngine(t, nil, clock.System{}), http.MethodPost, "/activate", body))
	})
}

func FuzzActivateByQuery(f *testing.F) {
	f.Add("slaveKey=" + url.QueryEscape(slaveKey) + "&runtimeKey=pc-1")
	f.Add("slaveKey=" + masterKey + "&runtimeKey=%00")
	f.Add("slaveKey=%zz&slaveKey=;")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/activate", nil)
		r.URL.RawQuery = query
		rec := httptest.NewRecorder()
		newEngine(t, nil, clock.System{}).ServeHTTP(rec, r)
		wantProtocol(t, rec)
	})
}

// seenKeys notes which device is activated.
type seenKeys struct {
	knownKeys
	device string
}

func (k *seenKeys) Activate(
	ctx context.Context, key delegation.Key, c licensing.Client,
) (delegation.Activation, error) {
	k.device = c.HardwareID
	return k.knownKeys.Activate(ctx, key, c)
}

// TestPlusesOfLinks: base64 has pluses, also at its ends, which links carry in three ways.
func TestPlusesOfLinks(t *testing.T) {
	for name, device := range map[string]string{
		"as they are": "+a+b+",
		"escaped":     "%2Ba%2Bb%2B",
		"as blanks":   "%20a%20b%20",
	} {
		keys := &seenKeys{knownKeys: knownKeys{t}}
		e := httpx.NewEngine(httpx.Options{Service: "license", Clock: clock.System{}})
		delegated.New(delegated.Deps{Keys: keys, Limiter: ratelimit.NewLocal(clock.System{})}).Routes(e)
		rec := serve(e, http.MethodGet, "/activate?slaveKey="+slaveKey+"&runtimeKey="+device, "")
		if rec.Code != http.StatusCreated || keys.device != "+a+b+" {
			t.Errorf("%s: %d, %q is activated", name, rec.Code, keys.device)
		}
	}
}
