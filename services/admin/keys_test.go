package admin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/guardtest"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/admin"
)

const keysPath = "/api/v1/admin/keys"

type keyAnswer struct {
	ID          string
	Name        string
	Role        string
	AdminAPIKey string `json:"admin_api_key"`
	CreatedAt   string `json:"created_at"`
	DeletedAt   string `json:"deleted_at"`
}

func (s *harness) keys() []keyAnswer {
	s.t.Helper()
	var list struct {
		AdminKeys []keyAnswer `json:"admin_keys"`
	}
	s.call(ownerKey, "GET", keysPath, nil, nil).want(http.StatusOK, &list)
	return list.AdminKeys
}

func TestAdminKeys(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		var made keyAnswer
		s.call(ownerKey, "POST", keysPath, `{"name":"Ada","role":"owner"}`, nil).want(http.StatusCreated, &made)
		if !secret.WellFormed("ak_", made.AdminAPIKey) || made.Name != "Ada" || made.Role != "owner" ||
			made.CreatedAt != "2026-03-02T12:00:00Z" {
			t.Errorf("%+v", made)
		}
		list := s.keys()
		if len(list) != 2 || list[0].Name != "configuration" || list[1].ID != made.ID || list[1].AdminAPIKey != "" {
			t.Errorf("%+v", list)
		}
		s.call(made.AdminAPIKey, "GET", keysPath, nil, nil).want(http.StatusOK, nil)
		var gone keyAnswer
		s.call(made.AdminAPIKey, "DELETE", keysPath+"/"+list[0].ID, nil, nil).want(http.StatusOK, &gone)
		if gone.ID != list[0].ID || gone.DeletedAt != "2026-03-02T12:00:00Z" {
			t.Errorf("%+v", gone)
		}
		s.call(ownerKey, "GET", keysPath, nil, nil).fails(http.StatusUnauthorized, errcode.InvalidAdminKey)
		s.call(made.AdminAPIKey, "DELETE", keysPath+"/"+list[0].ID, nil, nil).
			fails(http.StatusNotFound, errcode.NotFound)
		s.call(made.AdminAPIKey, "DELETE", keysPath+"/"+made.ID, nil, nil).fails(http.StatusConflict, errcode.LastOwner)
		for _, id := range []string{"x", licenseID, "%7B" + licenseID + "%7D"} {
			s.call(made.AdminAPIKey, "DELETE", keysPath+"/"+id, nil, nil).fails(http.StatusNotFound, errcode.NotFound)
		}
	})
}

func TestAdminKeyIsMadeOncePerIdempotencyKey(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		const body = `{"name":"Ada","role":"viewer"}`
		once := header("Idempotency-Key", "one")
		var first, second keyAnswer
		s.call(ownerKey, "POST", keysPath, body, once).want(http.StatusCreated, &first)
		s.call(ownerKey, "POST", keysPath, body, once).want(http.StatusCreated, &second)
		if first != second || first.AdminAPIKey == "" {
			t.Errorf("first %+v\nsecond %+v", first, second)
		}
		if n := len(s.keys()); n != 2 {
			t.Errorf("%d keys", n)
		}
		s.call(ownerKey, "POST", keysPath, `{"name":"Bob","role":"viewer"}`, once).
			fails(http.StatusUnprocessableEntity, errcode.IdempotencyKeyReused)
		s.call(ownerKey, "POST", keysPath, body, header("Idempotency-Key", "")).
			fails(http.StatusBadRequest, errcode.ValidationError)
		_, other := s.newKey("other", "owner")
		var theirs keyAnswer
		s.call(other, "POST", keysPath, body, once).want(http.StatusCreated, &theirs)
		if theirs.ID == first.ID {
			t.Error("two admins share an idempotency key")
		}
		s.clock.Advance(25 * time.Hour)
		s.call(ownerKey, "POST", keysPath, body, once).want(http.StatusCreated, &second)
		if second.ID == first.ID {
			t.Error("the answer is repeated after 24 hours")
		}
	})
}

func TestTwoOwnersDeletedAtOnceLeaveOne(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		first := s.keys()[0]
		id, second := s.newKey("second", "owner")
		var wg sync.WaitGroup
		answers := make([]*answer, 2)
		wg.Go(func() { answers[0] = s.call(ownerKey, "DELETE", keysPath+"/"+id, nil, nil) })
		wg.Go(func() { answers[1] = s.call(second, "DELETE", keysPath+"/"+first.ID, nil, nil) })
		wg.Wait()
		deleted := 0
		for _, a := range answers {
			switch a.status {
			case http.StatusOK:
				deleted++
			case http.StatusConflict, http.StatusUnauthorized: // too late: the last one, or a key that is no more
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		if deleted != 1 {
			t.Errorf("%d owners deleted", deleted)
		}
	})
}

func TestConfiguredOwnerKeyReplacesItsPredecessor(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		const changed = "ak_changed-owner-key-of-the-tests-98765432109876"
		_, made := s.newKey("made", "owner")
		replica := restart(t, s, changed)
		for key, status := range map[string]int{ownerKey: 401, changed: 200, made: 200} {
			s.call(key, "GET", keysPath, nil, nil).want(status, nil)
		}
		restart(t, replica, ownerKey) // a replica that still has the old configuration
		for key, status := range map[string]int{ownerKey: 401, changed: 200} {
			s.call(key, "GET", keysPath, nil, nil).want(status, nil)
		}
	})
}

// TestConfiguredKeyThatIsKnown: a key that the API made may become the configured one: that revokes the one before.
// It must be an owner's.
func TestConfiguredKeyThatIsKnown(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		_, made := s.newKey("made", "owner")
		weaker := map[string]string{}
		for _, role := range []string{"viewer", "operator"} {
			_, weaker[role] = s.newKey(role, role)
		}
		replica := restart(t, s, secret.Secret(made))
		for key, status := range map[string]int{ownerKey: 401, made: 200} {
			s.call(key, "GET", keysPath, nil, nil).want(status, nil)
		}
		const next = "ak_next-owner-key-of-the-tests-98765432109876543"
		restart(t, replica, next)
		for key, status := range map[string]int{made: 401, next: 200} {
			s.call(key, "GET", keysPath, nil, nil).want(status, nil)
		}
		for role, key := range weaker {
			cfg := config()
			cfg.AdminAPIKey = secret.Secret(key)
			service, err := admin.New(cfg, s.ownDeps())
			if err != nil {
				t.Fatal(err)
			}
			if err := service.Run(t.Context()); err == nil ||
				!strings.Contains(err.Error(), "LATCHKEY_ADMIN_API_KEY") || !strings.Contains(err.Error(), role) {
				t.Errorf("a %s key as the owner key: %v", role, err)
			}
			s.call(next, "GET", keysPath, nil, nil).want(200, nil)
		}
	})
}

// ownDeps are the deps of another process: the same, but with metrics of its own.
func (s *harness) ownDeps() app.Deps {
	deps := s.deps
	deps.Metrics = obs.NewMetrics("admin")
	return deps
}

// restart runs a second replica on the same database with another configured key.
func restart(t *testing.T, s *harness, key secret.Secret) *harness {
	t.Helper()
	cfg := config()
	cfg.AdminAPIKey = key
	replica := *s
	replica.deps = s.ownDeps()
	service, err := admin.New(cfg, replica.deps)
	if err != nil {
		t.Fatal(err)
	}
	replica.service = service
	replica.run()
	return &replica
}

func TestNobodyCouldEnter(t *testing.T) {
	d := testkit.SQLite(t, migrations()...)
	s := start(t, d, nil)
	cfg := config()
	cfg.AdminAPIKey = ""
	service, err := admin.New(cfg, s.ownDeps())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := service.Ready(ctx); r.Ready {
		t.Error("ready before the owner key was looked at")
	}
	if err := service.Run(ctx); err != nil {
		t.Errorf("an owner exists, yet: %v", err)
	}
	deps := s.ownDeps()
	deps.DB = testkit.SQLite(t, migrations()...)
	if service, err = admin.New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	if err := service.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "LATCHKEY_ADMIN_API_KEY") {
		t.Errorf("without any owner: %v", err)
	}
}

func TestGuessesOfAdminKeys(t *testing.T) {
	testkit.EachEngine(t, migrations(), func(t *testing.T, d *db.DB) {
		s := start(t, d, func(c *admin.Config) { on := true; c.AddressLimits = &on })
		guardtest.Check(t, guardtest.Route{
			Handler: s.handler, Limit: 10, Unguessable: true,
			Request: func(credentials ...string) *http.Request {
				req := httptest.NewRequest(http.MethodGet, keysPath, nil)
				for _, credential := range credentials {
					req.Header.Add("X-Admin-API-Key", credential)
				}
				return req
			},
			Good: func(t *testing.T) string {
				_, key := s.in(t).newKey("operator", "owner")
				return key
			},
			Ended: func(t *testing.T) string {
				made, key := s.in(t).newKey("operator", "viewer")
				s.in(t).call(ownerKey, "DELETE", keysPath+"/"+made, nil, nil).want(http.StatusOK, nil)
				return key
			},
			Wrong: []string{"wrong", secret.New("ak_"), secret.New("sk_")},
		})
	})
}

// TestMalformedAdminKeysCostNoStatement: what cannot be an admin key is refused without asking the database.
func TestMalformedAdminKeysCostNoStatement(t *testing.T) {
	testkit.EachEngine(t, migrations(), func(t *testing.T, d *db.DB) {
		var ofKeys atomic.Int64
		note := func(tx *gorm.DB) {
			if strings.Contains(tx.Statement.SQL.String(), "admin_keys") {
				ofKeys.Add(1)
			}
		}
		on := d.Read(t.Context()).Callback() // not while jobs use it
		for _, err := range []error{on.Query().After("*").Register("note", note),
			on.Row().After("*").Register("note", note), on.Raw().After("*").Register("note", note)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		s := start(t, d, nil)
		_, key := s.newKey("operator", "viewer")
		mistyped := key[:len(key)-1] + "0"
		if mistyped == key {
			mistyped = key[:len(key)-1] + "1"
		}
		ask := func(key string) int64 {
			before := ofKeys.Load()
			s.call(key, "GET", keysPath, nil, nil).want(http.StatusUnauthorized, nil)
			return ofKeys.Load() - before
		}
		for name, key := range map[string]string{"513 characters": strings.Repeat("k", 513),
			"a wrong checksum": mistyped} {
			if n := ask(key); n != 0 {
				t.Errorf("%s cost %d statements", name, n)
			}
		}
		if ask(secret.New("ak_")) == 0 {
			t.Error("the statements that look for a well-formed key are not seen")
		}
	})
}

func TestConfigValidate(t *testing.T) {
	good := config()
	good.DatabaseURL, good.AMQPURL, good.AuthURL = "postgres://x", "amqp://x", "http://auth"
	good.DatabaseMaxConns, good.EventLogDays, good.StartTimeout, good.LogLevel, good.LogFormat =
		1, 1, time.Second, "info", "json"
	for name, test := range map[string]struct {
		edit func(*admin.Config)
		want string
	}{
		"good":                    {func(*admin.Config) {}, ""},
		"no owner key is fine":    {func(c *admin.Config) { c.AdminAPIKey = "" }, ""},
		"weak key in development": {func(c *admin.Config) { c.AdminAPIKey = "short" }, ""},
		"weak key in production": {func(c *admin.Config) { c.Env, c.AdminAPIKey = app.Production, "short" },
			"LATCHKEY_ADMIN_API_KEY"},
		"a key of other characters": {func(c *admin.Config) { c.AdminAPIKey = "schlüssel" }, "LATCHKEY_ADMIN_API_KEY"},
		"a key that is too long": {func(c *admin.Config) { c.AdminAPIKey = secret.Secret(strings.Repeat("x", 513)) },
			"LATCHKEY_ADMIN_API_KEY"},
		"a mistyped key": {func(c *admin.Config) { c.AdminAPIKey = secret.Secret(secret.New("ak_")[:51] + "-") },
			"LATCHKEY_ADMIN_API_KEY"},
		"no master key": {func(c *admin.Config) { c.MasterKey = "" }, "LATCHKEY_MASTER_KEY"},
		"bad previous master key": {func(c *admin.Config) { c.MasterKeyPrevious = "x" },
			"LATCHKEY_MASTER_KEY_PREVIOUS"},
		"base": {func(c *admin.Config) { c.TrustedProxies = []string{"x"} }, "LATCHKEY_TRUSTED_PROXIES"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			test.edit(&cfg)
			err := cfg.Validate()
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestAdminKeysHaveNoVersions: a condition that nothing can be held to is refused instead of overlooked.
func TestAdminKeysHaveNoVersions(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		id, _ := s.newKey("v", "viewer")
		s.call(ownerKey, "POST", "/api/v1/admin/keys", `{"name":"b","role":"viewer"}`, header("If-Match", `"1"`)).
			fails(http.StatusBadRequest, errcode.ValidationError)
		s.call(ownerKey, "DELETE", "/api/v1/admin/keys/"+id, nil, header("If-Match", `"1"`)).
			fails(http.StatusBadRequest, errcode.ValidationError)
		s.call(ownerKey, "DELETE", "/api/v1/admin/keys/"+id, nil, header("If-Match", "*")).want(http.StatusOK, nil)
	})
}
