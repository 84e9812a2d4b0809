package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// aMasterKey is a setting, different for each fill.
func aMasterKey(fill byte) secret.Secret {
	sum := sha256.Sum256([]byte{fill})
	return secret.Secret(base64.StdEncoding.EncodeToString(sum[:]))
}

// sealingService keeps a row of each name in things under master keys.
func sealingService() Service {
	s := service()
	cfg := s.Config.(*testConfig)
	s.Migrations = append(s.Migrations, masterkey.Migrations)
	s.MasterKeys = func(d Deps) (*masterkey.Register, error) {
		ring, err := MasterKeys{MasterKey: cfg.MasterKey}.Keyring("test")
		return masterkey.New(d.DB, ring, masterkey.Rows{
			What:   "things",
			Count:  func(*gorm.DB) (map[string]int, error) { return map[string]int{nameOf(aMasterKey(1)): 3}, nil },
			Reseal: func(context.Context, func(int)) (int, error) { return 0, nil },
		}), err
	}
	return s
}

func nameOf(key secret.Secret) string {
	raw, err := keyring.ParseKey(key.Reveal())
	if err != nil {
		panic(err)
	}
	ring, err := keyring.New("test", raw)
	if err != nil {
		panic(err)
	}
	return ring.Name()
}

func TestCommandsTellWhichMasterKeyIsMissing(t *testing.T) {
	goodEnv(t)
	t.Setenv("LATCHKEY_DATABASE_URL", testkit.Postgres(t))
	t.Setenv("LATCHKEY_AMQP_URL", testkit.AMQP(t))
	check := func(key secret.Secret) (int, string) {
		t.Setenv("LATCHKEY_MASTER_KEY", key.Reveal())
		var out buffer
		return Execute(t.Context(), sealingService(), []string{"config", "check", "--database"}, &out,
			&out), out.String()
	}
	if code, out := check(aMasterKey(2)); code != 0 || !strings.Contains(out, "schema masterkey: version 0 of 1") {
		t.Errorf("a database that nobody has migrated: %d\n%s", code, out)
	}
	if code := Execute(t.Context(), sealingService(), []string{"migrate"}, io.Discard, io.Discard); code != 0 {
		t.Fatalf("migrate ended with %d", code)
	}
	want := "rows under master key " + nameOf(aMasterKey(1)) + " (things: 3)"
	if code, out := check(aMasterKey(2)); code != exitUsage || !strings.Contains(out, "LATCHKEY_MASTER_KEY") ||
		!strings.Contains(out, want) {
		t.Errorf("config check --database: %d\n%s", code, out)
	}
	for _, command := range []string{"serve", "rotate-master-key"} {
		var logs buffer
		if code := Execute(t.Context(), sealingService(), []string{command}, io.Discard, &logs); code != exitUsage ||
			!strings.Contains(logs.String(), want) {
			t.Errorf("%s: %d\n%s", command, code, logs.String())
		}
	}
	if code, out := check(aMasterKey(1)); code != 0 ||
		!strings.Contains(out, nameOf(aMasterKey(1))+" (things: 3): configured") {
		t.Errorf("the right key: %d\n%s", code, out)
	}
}

func TestConfigCheckOfADatabaseThatIsAway(t *testing.T) {
	goodEnv(t)
	var logs buffer
	code := Execute(t.Context(), sealingService(), strings.Fields("config check --database --start-timeout 300ms"),
		io.Discard, &logs)
	if code != exitFailed || !strings.Contains(logs.String(), "127.0.0.1:1") {
		t.Errorf("ended with %d\n%s", code, logs.String())
	}
}

// TestReadinessSaysWhichMasterKeyIsMissing: it became missing while the service runs.
func TestReadinessSaysWhichMasterKeyIsMissing(t *testing.T) {
	testkit.EachEngine(t, []db.Migrations{masterkey.Migrations}, func(t *testing.T, d *db.DB) {
		deps := deps(t)
		deps.DB = d
		of := func(keys MasterKeys) *masterkey.Register {
			ring, err := keys.Keyring("test")
			if err != nil {
				t.Fatal(err)
			}
			return masterkey.New(d, ring)
		}
		mine := of(MasterKeys{MasterKey: aMasterKey(1)})
		if r := NewHealth(deps, mine).Ready(t.Context()); !r.Ready || r.Dependencies["master_key"] != "ok" {
			t.Errorf("before: %+v", r)
		}
		if err := of(MasterKeys{MasterKey: aMasterKey(2), MasterKeyPrevious: aMasterKey(1)}).
			Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := NewHealth(deps, mine).Ready(t.Context())
		if r.Ready || !strings.Contains(r.Dependencies["master_key"], nameOf(aMasterKey(2))) ||
			r.Dependencies["database"] != "ok" {
			t.Errorf("got %+v", r)
		}
	})
}

func TestMasterKeySettings(t *testing.T) {
	tests := map[string]struct {
		keys MasterKeys
		want []string
	}{
		"one":  {MasterKeys{MasterKey: aMasterKey(1)}, nil},
		"all":  {MasterKeys{aMasterKey(1), aMasterKey(2), aMasterKey(3)}, nil},
		"none": {MasterKeys{MasterKeyNext: aMasterKey(1)}, []string{"LATCHKEY_MASTER_KEY "}},
		"next twice": {MasterKeys{MasterKey: aMasterKey(1), MasterKeyNext: aMasterKey(1)},
			[]string{"LATCHKEY_MASTER_KEY_NEXT", "the same key"}},
		"previous": {MasterKeys{MasterKey: aMasterKey(1), MasterKeyPrevious: aMasterKey(1)},
			[]string{"LATCHKEY_MASTER_KEY_PREVIOUS", "the same key"}},
		"broken next": {MasterKeys{MasterKey: aMasterKey(1), MasterKeyNext: "x"},
			[]string{"LATCHKEY_MASTER_KEY_NEXT"}},
		"both at once": {MasterKeys{aMasterKey(1), "x", "y"},
			[]string{"LATCHKEY_MASTER_KEY_NEXT", "LATCHKEY_MASTER_KEY_PREVIOUS"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.keys.Check(Base{Env: Production})
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
		})
	}
}
