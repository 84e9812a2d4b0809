package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// ahead is the clock of a process that is ahead of the machine's.
type ahead time.Duration

func (a ahead) Now() time.Time { return clock.System{}.Now().Add(time.Duration(a)) }

// leases are the use cases of one process, with its own clock.
func (r *replica) leases(t *testing.T, d *db.DB, c clock.Clock) *lease.Leases {
	s := store.New(store.Deps{DB: d, Outbox: r.outbox, Keys: keys(t, d, 1), Clock: c, Committed: r.lookup.OnEvent})
	seats := &licensing.Seats{Lookup: r.lookup, Store: s, Seen: r, Telemetry: r, Clock: c, Blocks: r.blocks}
	return &lease.Leases{Seats: seats, Store: s, Tokens: lease.NewTokens(keys(t, d, 1).Ring, c)}
}

func floating(f licensing.FloatingTerms) licensing.NewLicense {
	seats := licensing.Optional[int]{Present: true, Value: 100}
	return with(licensing.TermsChange{
		MaxDevices: seats, Floating: licensing.Optional[licensing.FloatingTerms]{Present: true, Value: f},
	})
}

// crowd are forty devices that take, renew and give back leases of one license by two processes.
type crowd struct {
	t         *testing.T
	processes []*lease.Leases
	made      licensing.Created
	slots     int
	until     func() bool
	granted   atomic.Int64
}

func (c *crowd) run() {
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() { c.device(fmt.Sprintf("pc-%02d", i), rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	all.Go(c.sample)
	all.Wait()
}

func (c *crowd) device(hardwareID string, random *rand.Rand) {
	session := 0
	for !c.until() {
		by := c.processes[random.IntN(len(c.processes))]
		wanted := licensing.Client{HardwareID: hardwareID, SessionID: fmt.Sprint(session)}
		g, err := by.CheckOut(c.t.Context(), c.made.Key, lease.Request{Client: wanted})
		if c.fails(err) || err != nil {
			continue
		}
		c.granted.Add(1)
		if g.Slots.InUse > c.slots {
			c.t.Errorf("%d of %d slots in use", g.Slots.InUse, c.slots)
		}
		proof, err := by.Tokens.Proof(c.t.Context(), g.Token)
		c.fails(err)
		switch random.IntN(10) {
		case 0: // the session crashes, and its lease expires
			session++
		case 1, 2, 3:
			_, err = by.Renew(c.t.Context(), proof, wanted)
		default:
			_, _, err = by.Release(c.t.Context(), proof)
		}
		c.fails(err)
	}
}

// fails tells of what is neither success nor a refusal. An overloaded computer refuses with 503, and nothing is done
// then.
func (c *crowd) fails(err error) bool {
	var e *apierr.Error
	if err == nil || errors.As(err, &e) && (e.Kind == apierr.Forbidden || e.Kind == apierr.Conflict ||
		e.Kind == apierr.Unavailable) {
		return false
	}
	c.t.Error(err)
	return true
}

// sample counts the live leases fifty times a second.
func (c *crowd) sample() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !c.until() {
		<-tick.C
		_, slots, err := c.processes[0].Store.Leases(c.t.Context(), c.made.License.ID,
			licensing.Span{Page: 1, PerPage: 1})
		if err != nil && !errors.Is(err, apierr.ErrUnavailable) || slots.InUse > c.slots {
			c.t.Errorf("%+v slots, %v", slots, err)
			return
		}
	}
}

// TestNeverMoreLeasesThanSlots: one process is two seconds ahead of the other, and what happened is read from the
// events.
func TestNeverMoreLeasesThanSlots(t *testing.T) {
	for _, overflow := range []licensing.Overflow{licensing.OverflowRefuse, licensing.OverflowEvictOldest} {
		t.Run(string(overflow), func(t *testing.T) {
			each(t, func(t *testing.T, r *replica, d *db.DB) {
				f := licensing.DefaultFloatingTerms(5)
				f.LeaseSeconds, f.Overflow, f.Activation = 1, overflow, licensing.LeaseActivationNone
				r.clock.Set(time.Now())
				r.Licenses.ShortLeases = true
				c := &crowd{t: t, made: create(t, r, floating(f)), slots: f.Slots}
				c.processes = []*lease.Leases{r.leases(t, d, ahead(0)), r.leases(t, d, skew(d))}
				var expired atomic.Int64
				c.until = func() bool {
					enough := c.granted.Load() >= 200 &&
						(expired.Load() >= 3 || overflow == licensing.OverflowEvictOldest)
					return enough || t.Failed()
				}
				var noting sync.WaitGroup
				noting.Go(func() {
					tick := time.NewTicker(20 * time.Millisecond)
					defer tick.Stop()
					for !c.until() {
						<-tick.C
						n, err := c.processes[1].NoteExpired(t.Context())
						c.fails(err)
						expired.Add(int64(n))
					}
				})
				c.run()
				noting.Wait()
				c.replay(r, d)
			})
		})
	}
}

// skew is the clock of the second process: with SQLite there is only one.
func skew(d *db.DB) clock.Clock {
	if d.Engine() == db.SQLite {
		return ahead(0)
	}
	return ahead(2 * time.Second)
}

// replay finds out from the events how many leases were live at any time, and that each began and ended once.
func (c *crowd) replay(r *replica, d *db.DB) {
	type moment struct {
		at    time.Time
		delta int
	}
	var moments []moment
	begun, ended := map[string]time.Time{}, map[string]bool{}
	finish := func(l *eventsv1.Lease, at time.Time) {
		if ended[l.GetLeaseId()] {
			c.t.Errorf("%s ended twice", l.GetLeaseId())
		}
		ended[l.GetLeaseId()] = true
		moments = append(moments, moment{at, -1})
	}
	for _, e := range allEvents(c.t, r, c.made.License.ID) {
		msg, err := e.Message()
		if err != nil {
			c.t.Fatal(err)
		}
		switch m := msg.(type) {
		case *eventsv1.LicenseLeased:
			begun[m.GetLease().GetLeaseId()] = m.GetLease().GetLeasedAt().AsTime()
			moments = append(moments, moment{m.GetLease().GetLeasedAt().AsTime(), 1})
		case *eventsv1.LicenseLeaseReleased:
			finish(m.GetLease(), m.GetReleasedAt().AsTime())
		case *eventsv1.LicenseLeaseEvicted:
			finish(m.GetLease(), m.GetEvictedAt().AsTime())
		case *eventsv1.LicenseLeaseExpired:
			finish(m.GetLease(), m.GetLease().GetLeaseExpiresAt().AsTime())
		}
	}
	for _, l := range unended(c.t, d) {
		finish(&eventsv1.Lease{LeaseId: l.ID}, l.ExpiresAt)
	}
	slices.SortFunc(moments, func(a, b moment) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.delta, b.delta)) })
	now, most := 0, 0
	for _, m := range moments {
		now += m.delta
		most = max(most, now)
	}
	if most != c.slots || now != 0 || len(begun) != len(ended) {
		c.t.Errorf("at most %d leases at a time of %d slots; %d began, %d ended", most, c.slots, len(begun), len(ended))
	}
}

type unendedLease struct {
	ID        string
	ExpiresAt time.Time
}

// unended are the leases of whose end no event tells yet.
func unended(t *testing.T, d *db.DB) (rows []unendedLease) {
	t.Helper()
	if err := d.Read(t.Context()).Table("leases").Where("ending = ''").Find(&rows).Error; err != nil {
		t.Fatal(err)
	}
	return rows
}

func allEvents(t *testing.T, r *replica, licenseID string) []event.Event {
	t.Helper()
	all, _, err := r.outbox.List(context.Background(), licenseID, noon.AddDate(-1, 0, 0), nil, 1_000_000, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLeasesAreFoundByTheirLicense also by the plans that a database makes while there are none.
func TestLeasesAreFoundByTheirLicense(t *testing.T) {
	others := regexp.MustCompile(`Seq Scan on leases|SCAN leases|SCAN l\b|leases_due`)
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		f := licensing.DefaultFloatingTerms(2)
		f.Activation = licensing.LeaseActivationNone
		made := create(t, r, floating(f))
		queries := map[string][]any{}
		note := func(tx *gorm.DB) {
			if query := tx.Statement.SQL.String(); strings.Contains(query, "FROM leases") {
				queries[query] = slices.Clone(tx.Statement.Vars)
			}
		}
		err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
			return tx.Callback().Query().After("gorm:query").Register("note", note)
		})
		if err != nil {
			t.Fatal(err)
		}
		wanted := lease.Request{Client: client("pc")}
		if _, err := r.leases(t, d, r.clock).CheckOut(t.Context(), made.Key, wanted); err != nil {
			t.Fatal(err)
		}
		for query, vars := range queries {
			if p := lastingPlan(t, d, query, vars); others.MatchString(p) {
				t.Errorf("reads leases of other licenses:\n%s", p)
			}
		}
		if len(queries) < 2 {
			t.Errorf("%d queries were explained, want the leases and their number", len(queries))
		}
	})
}

// lastingPlan is the plan that a connection keeps for a query, whatever its parameters.
func lastingPlan(t *testing.T, d *db.DB, query string, vars []any) string {
	t.Helper()
	if d.Engine() == db.SQLite {
		return testkit.Plan(t, d, query, vars)
	}
	var lines []string
	nothing := strings.TrimSuffix(strings.Repeat("NULL,", len(vars)), ",")
	err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		for _, statement := range []string{
			"SET LOCAL plan_cache_mode = force_generic_plan", "SET LOCAL enable_seqscan = off",
			"PREPARE lasting AS " + query,
		} {
			if err := tx.Exec(statement).Error; err != nil {
				return err
			}
		}
		err := tx.Raw("EXPLAIN EXECUTE lasting(" + nothing + ")").Scan(&lines).Error
		return errors.Join(err, tx.Exec("DEALLOCATE lasting").Error)
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestEndedLeasesAreForgotten: that one has expired is told once, and of those that ended the newest thousand stay for
// a week.
func TestEndedLeasesAreForgotten(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		f := licensing.DefaultFloatingTerms(2)
		f.Activation = licensing.LeaseActivationNone
		made := create(t, r, floating(f))
		leases := r.leases(t, d, r.clock)
		take := func(hardwareID string) lease.Grant {
			t.Helper()
			g, err := leases.CheckOut(t.Context(), made.Key, lease.Request{Client: client(hardwareID)})
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		take("expires")
		r.clock.Advance(15 * time.Minute)
		for _, want := range []int{1, 0} {
			if n, err := leases.NoteExpired(t.Context()); err != nil || n != want {
				t.Errorf("%d leases have expired, want %d (%v)", n, want, err)
			}
		}
		if n := events(t, r, made.License.ID, "license.lease.expired"); n != 1 {
			t.Errorf("%d times it was told", n)
		}
		for range 1005 {
			proof := lease.Proof{LicenseID: made.License.ID, LeaseID: take("comes and goes").Lease.ID}
			if _, _, err := leases.Release(t.Context(), proof); err != nil {
				t.Fatal(err)
			}
		}
		take("stays")
		pruned := func() int {
			n, err := leases.Store.(*store.Store).PruneLeases(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := pruned(); n != 6 {
			t.Errorf("%d leases were forgotten, want 6 of 1006", n)
		}
		r.clock.Advance(7*24*time.Hour + time.Second)
		if n := pruned(); n != 1000 {
			t.Errorf("%d leases were forgotten after a week, want 1000", n)
		}
	})
}
