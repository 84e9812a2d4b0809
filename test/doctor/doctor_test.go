//go:build unix

// Package doctor plants faults and has the command doctor of a real service find them, on real servers.
package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/test/servers"
)

// patient is an auth service that is well: its settings, and what they lead to.
type patient struct {
	t    *testing.T
	env  map[string]string
	data *db.DB
	// id is the service's identity, peer its peer's.
	id, peer rpc.Identity
}

func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{t: t, id: rpc.NewIdentity("auth"), peer: rpc.NewIdentity("license")}
	p.env = map[string]string{
		"LATCHKEY_ADDR":           freeAddress(t),
		"LATCHKEY_INTERNAL_ADDR":  freeAddress(t),
		"LATCHKEY_DATABASE_URL":   testkit.Postgres(t),
		"LATCHKEY_AMQP_URL":       testkit.AMQP(t),
		"LATCHKEY_LICENSE_URL":    p.serve("license", time.Now),
		"LATCHKEY_INTERNAL_KEY":   rpc.FormatKey(p.id.Key),
		"LATCHKEY_INTERNAL_PEERS": p.id.PeerEntry() + "," + p.peer.PeerEntry(),
		"LATCHKEY_MASTER_KEY":     random(),
		"LATCHKEY_ADMIN_SECRET":   random(),
	}
	p.data = testkit.Open(t, db.Config{URL: p.env["LATCHKEY_DATABASE_URL"], Schema: "auth"}, auth.Migrations...)
	return p
}

// serve answers as the internal port of a service that knows the patient, and whose clock shows now.
func (p *patient) serve(service string, now func() time.Time) string {
	p.t.Helper()
	var base app.Base
	base.Introduce(rpc.NewIdentity(service), p.id)
	core, err := app.NewCore(service, base, app.Deps{
		Log:     testkit.Log(p.t),
		DB:      testkit.SQLite(p.t, outbox.Migrations),
		Bus:     quiet{},
		Clock:   clock.System{},
		Metrics: obs.NewMetrics(service),
	}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	h := core.InternalEngine()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
		h.ServeHTTP(w, r)
	}))
	p.t.Cleanup(s.Close)
	return s.URL
}

// quiet is a bus that nobody uses.
type quiet struct{ bus.Bus }

func (quiet) State() bus.State { return bus.State{} }

func freeAddress(t *testing.T) string {
	t.Helper()
	ports, err := servers.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return servers.Address(ports[0])
}

// exec changes the database behind the back of the service.
func (p *patient) exec(statement string, args ...any) {
	p.t.Helper()
	// also while the test is cleaned up
	ctx := context.WithoutCancel(p.t.Context())
	err := p.data.Tx(ctx, func(_ context.Context, tx *gorm.DB) error { return tx.Exec(statement, args...).Error })
	if err != nil {
		p.t.Fatal(err)
	}
}

// change changes a URL of the settings.
func (p *patient) change(setting string, by func(*url.URL)) {
	p.t.Helper()
	u, err := url.Parse(p.env[setting])
	if err != nil {
		p.t.Fatal("cannot be read: " + setting)
	}
	by(u)
	p.env[setting] = u.String()
}

// see runs the command.
func (p *patient) see() (told string, code int) {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "LATCHKEY_") && !strings.HasPrefix(name, "LATCHKEY_TEST_") {
			p.t.Setenv(name, "")
		}
	}
	for name, value := range p.env {
		p.t.Setenv(name, value)
	}
	cfg := auth.DefaultConfig()
	var out, logs bytes.Buffer
	code = app.Execute(p.t.Context(), auth.Program(&cfg), []string{"doctor"}, &out, &logs)
	return out.String() + logs.String(), code
}

func TestNothingIsWrong(t *testing.T) {
	p := newPatient(t)
	told, code := p.see()
	if code != 0 || strings.Contains(told, "FAIL") || strings.Contains(told, "WARN") {
		t.Fatalf("exit code %d:\n%s", code, told)
	}
	for _, what := range []string{"settings", "address", "database", "database clock", "schema",
		"master key", "outbox", "broker", "dead letters", "peer license", "peer license clock"} {
		if !strings.Contains(told, "ok    "+what+" ") {
			t.Errorf("nothing is said of: %s", what)
		}
	}
}

// failed and warned are the exit codes and signs of findings.
const (
	fails = "FAIL  "
	warns = "WARN  "
)

// faults are planted one at a time; sign and what begin the line that doctor prints, remedy is part of what it says to
// do.
var faults = map[string]struct {
	plant              func(p *patient)
	sign, what, remedy string
}{
	"the address is taken by another program": {
		func(p *patient) { p.env["LATCHKEY_ADDR"] = occupied(p.t) }, fails, "address", "LATCHKEY_ADDR to a free port",
	},
	"the internal address is taken by another program": {
		func(p *patient) { p.env["LATCHKEY_INTERNAL_ADDR"] = occupied(p.t) }, fails, "address",
		"LATCHKEY_INTERNAL_ADDR to a free port",
	},
	"the address is taken by another service": {
		func(p *patient) {
			p.env["LATCHKEY_ADDR"] = strings.TrimPrefix(p.serve("license", time.Now), "http://")
		}, fails, "address", "end that program",
	},
	"the address is not of this computer": {
		func(p *patient) { p.env["LATCHKEY_ADDR"] = "192.0.2.1:5001" }, fails, "address", "correct LATCHKEY_ADDR",
	},
	"the database server is off": {
		func(p *patient) {
			p.change("LATCHKEY_DATABASE_URL", func(u *url.URL) { u.Host = freeAddress(p.t) })
		}, fails, "database", "start the server",
	},
	"the role of the database is not there": {
		func(p *patient) {
			p.change("LATCHKEY_DATABASE_URL", func(u *url.URL) { u.User = url.UserPassword("doctor_nobody", "wrong") })
		}, fails, "database", "correct user and password in LATCHKEY_DATABASE_URL",
	},
	"a pooler in transaction mode is on the way": {
		func(p *patient) {
			p.env["LATCHKEY_DATABASE_URL"] = testkit.TransactionPooler(p.t, p.env["LATCHKEY_DATABASE_URL"])
		}, fails, "pooler", "pool_mode=session",
	},
	"the database is not there": {
		func(p *patient) {
			p.change("LATCHKEY_DATABASE_URL", func(u *url.URL) { u.Path = "/nowhere" })
		}, fails, "database", "create the database",
	},
	"the schema is not there": {
		func(p *patient) { p.env["LATCHKEY_DATABASE_URL"] = testkit.Postgres(p.t) }, fails, "schema", "'auth migrate'",
	},
	"the schema is older than the program": {
		func(p *patient) {
			p.exec(`DELETE FROM migrations_outbox WHERE version_id > 0`)
			p.exec(`DELETE FROM migration_checksums WHERE source = 'outbox'`)
		}, fails, "schema", "'auth migrate'",
	},
	"the schema is newer than the program": {
		func(p *patient) {
			p.exec(`INSERT INTO migrations_outbox (version_id, is_applied) VALUES (99, true)`)
		}, warns, "schema", "finish the upgrade",
	},
	"other migrations made the schema": {
		func(p *patient) { p.exec(`UPDATE migration_checksums SET sha256 = repeat('0', 64)`) }, fails, "schema",
		"run the version that made it",
	},
	"the rows are under another master key": {
		func(p *patient) {
			cfg := auth.DefaultConfig()
			cfg.MasterKey = secret.Secret(random())
			d := app.Deps{DB: p.data, Clock: clock.System{}}
			if err := auth.Program(&cfg).StartMasterKeys(p.t.Context(), d); err != nil {
				p.t.Fatal(err)
			}
		}, fails, "master key", "set LATCHKEY_MASTER_KEY to the key",
	},
	"the role may only read": {
		func(p *patient) {
			p.exec(`DROP ROLE IF EXISTS doctor_reader`)
			p.exec(`CREATE ROLE doctor_reader LOGIN PASSWORD 'right'`)
			p.exec(`GRANT USAGE ON SCHEMA auth TO doctor_reader`)
			p.exec(`GRANT SELECT ON ALL TABLES IN SCHEMA auth TO doctor_reader`)
			p.t.Cleanup(func() { p.exec(`DROP OWNED BY doctor_reader`) })
			p.change("LATCHKEY_DATABASE_URL", func(u *url.URL) { u.User = url.UserPassword("doctor_reader", "right") })
		}, fails, "permissions", "GRANT SELECT, INSERT, UPDATE, DELETE",
	},
	"the database is read-only": {
		func(p *patient) {
			p.exec(`DO $$ BEGIN
				EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
			END $$`)
		}, fails, "database", "default_transaction_read_only is on",
	},
	"a session holds a lock": {
		func(p *patient) {
			held, end := make(chan struct{}), make(chan struct{})
			done := make(chan error)
			go func() {
				done <- p.data.Tx(context.WithoutCancel(p.t.Context()), func(_ context.Context, tx *gorm.DB) error {
					err := tx.Exec(`LOCK TABLE outbox_unsent IN SHARE MODE`).Error
					close(held)
					<-end
					return err
				})
			}()
			<-held
			p.t.Cleanup(func() {
				close(end)
				if err := <-done; err != nil {
					p.t.Error(err)
				}
			})
		}, fails, "locks", "SELECT pg_terminate_backend(",
	},
	"the process may open more connections than the server takes": {
		func(p *patient) { p.env["LATCHKEY_DATABASE_MAX_CONNS"] = "9999" }, warns, "connections",
		"lower LATCHKEY_DATABASE_MAX_CONNS",
	},
	"events wait": {
		func(p *patient) {
			err := p.data.Tx(p.t.Context(), func(ctx context.Context, tx *gorm.DB) error {
				_, err := outbox.New(p.data, "latchkey/auth").Add(ctx, tx, "x", time.Now().Add(-time.Hour),
					&eventsv1.AuditRecorded{Action: "x.y"})
				return err
			})
			if err != nil {
				p.t.Fatal(err)
			}
		}, warns, "outbox", "look at the broker",
	},
	"the broker is off": {
		func(p *patient) {
			p.change("LATCHKEY_AMQP_URL", func(u *url.URL) { u.Host = freeAddress(p.t) })
		}, fails, "broker", "start RabbitMQ",
	},
	"the password of the broker is wrong": {
		func(p *patient) {
			p.change("LATCHKEY_AMQP_URL", func(u *url.URL) { u.User = url.UserPassword("nobody", "wrong") })
		}, fails, "broker", "correct user and password in LATCHKEY_AMQP_URL",
	},
	"the virtual host is not there": {
		func(p *patient) {
			p.change("LATCHKEY_AMQP_URL", func(u *url.URL) { u.Path = "/nowhere" })
		}, fails, "broker", "make the virtual host",
	},
	"an event could not be taken in": {
		func(p *patient) { p.bury() }, warns, "dead letters", "auth dead-letters list",
	},
	"the peer is off": {
		func(p *patient) { p.env["LATCHKEY_LICENSE_URL"] = "http://" + freeAddress(p.t) }, fails, "peer license",
		"start license",
	},
	"the name of the peer is wrong": {
		func(p *patient) { p.env["LATCHKEY_LICENSE_URL"] = "http://licence.invalid:5102" }, fails, "peer license",
		"LATCHKEY_LICENSE_URL",
	},
	"another service answers for the peer": {
		func(p *patient) { p.env["LATCHKEY_LICENSE_URL"] = p.serve("admin", time.Now) }, fails, "peer license",
		"set LATCHKEY_LICENSE_URL",
	},
	"another program answers for the peer": {
		func(p *patient) {
			s := httptest.NewServer(http.NotFoundHandler())
			p.t.Cleanup(s.Close)
			p.env["LATCHKEY_LICENSE_URL"] = s.URL
		}, fails, "peer license", "set LATCHKEY_LICENSE_URL",
	},
	"the peer does not know the key": {
		func(p *patient) {
			p.id = rpc.NewIdentity("auth")
			p.env["LATCHKEY_INTERNAL_KEY"] = rpc.FormatKey(p.id.Key)
			p.env["LATCHKEY_INTERNAL_PEERS"] = p.id.PeerEntry() + "," + p.peer.PeerEntry()
		}, fails, "peer license", "into LATCHKEY_INTERNAL_PEERS of license",
	},
	"the clock of the peer is wrong": {
		func(p *patient) {
			p.env["LATCHKEY_LICENSE_URL"] = p.serve("license", func() time.Time { return time.Now().Add(-time.Minute) })
		}, fails, "peer license clock", "NTP",
	},
}

// occupied is an address where a program listens that is none of ours.
func occupied(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// bury makes a dead letter of the service's queue.
func (p *patient) bury() {
	p.t.Helper()
	b, err := amqp.Dial(amqp.Config{
		URL: p.env["LATCHKEY_AMQP_URL"], Name: "test", Log: testkit.Log(p.t), Queues: bus.AllQueues(),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	defer b.Close()
	if err := b.Await(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	e, err := event.New("latchkey/license", "", time.Now(), &eventsv1.CustomerErased{})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(p.t.Context())
	defer stop()
	var queue bus.Queue
	for _, q := range bus.AllQueues() {
		if q.Name == "auth.erasures" {
			queue = q
		}
	}
	go func() {
		_ = b.Consume(ctx, queue, func(context.Context, []event.Event) error {
			return bus.Rejected{0: errors.New("no such thing")}
		})
	}()
	if err := b.Publish(ctx, []event.Event{e}); err != nil {
		p.t.Fatal(err)
	}
	testkit.Eventually(p.t, time.Minute, func() error {
		n, err := b.DeadLetters(queue.Name).Count(ctx)
		if err == nil && n == 0 {
			err = errors.New("no dead letter yet")
		}
		return err
	})
}

func TestPlantedFaults(t *testing.T) {
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			f.plant(p)
			told, code := p.see()
			if want := map[string]int{fails: 1, warns: 0}[f.sign]; code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			if !names(told, f.sign+f.what+" ", f.remedy) {
				t.Errorf("no line %q with the remedy %q:\n%s", f.sign+f.what, f.remedy, told)
			}
			for setting, value := range p.env {
				if strings.HasSuffix(setting, "_KEY") && strings.Contains(told, value) ||
					strings.HasSuffix(setting, "_SECRET") && strings.Contains(told, value) {
					t.Errorf("tells %s:\n%s", setting, told)
				}
			}
		})
	}
}

// names reports whether a line begins so and the one below it has the remedy.
func names(told, begins, remedy string) bool {
	lines := strings.Split(told, "\n")
	for i, line := range lines[:len(lines)-1] {
		_, does, _ := strings.Cut(lines[i+1], "-> ")
		if strings.HasPrefix(line, begins) && strings.Contains(does, remedy) {
			return true
		}
	}
	return false
}
