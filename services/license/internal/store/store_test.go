package store_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

var (
	noon       = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	admin      = &licensing.Actor{Id: "a", Name: "Ada", Role: "owner"}
	migrations = []db.Migrations{store.Migrations, outbox.Migrations, masterkey.Migrations}
)

// replica is one process of the service, as far as the store knows.
type replica struct {
	*licensing.Licenses
	*licensing.Seats
	*licensing.Offline
	store  *store.Store
	outbox *outbox.Outbox
	lookup *store.Lookup
	blocks *store.Blocks
	link   *bus.Link
	clock  *clock.Fake
	// refused counts the telemetry events.
	recorded atomic.Int64
}

// rules puts the use cases over the store and that lookup.
func (r *replica) rules(lookup licensing.Lookup) {
	r.Licenses = &licensing.Licenses{Store: r.store, Reads: r.store, Clock: r.clock}
	r.Seats = &licensing.Seats{Lookup: lookup, Store: r.store, Seen: r, Telemetry: r, Clock: r.clock, Blocks: r.blocks}
	r.Offline = &licensing.Offline{Seats: r.Seats, Store: r.store, Signer: r, Clock: r.clock}
}

func (r *replica) Record(string, string, time.Time, proto.Message) { r.recorded.Add(1) }
func (r *replica) Seen(licensing.Sighting)                         {}
func (r *replica) SignOffline(context.Context, licensing.OfflineToken) (string, error) {
	return "signed", nil
}

// keys is the register of a process with these master keys, the current one first.
func keys(t *testing.T, d *db.DB, masterKeys ...byte) *masterkey.Register {
	t.Helper()
	var masters [][]byte
	for _, k := range masterKeys {
		masters = append(masters, slices.Repeat([]byte{k}, keyring.KeySize))
	}
	ring, err := keyring.New("license", masters[0], masters[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return masterkey.New(d, ring, store.KeyRows(d, ring), store.FormerKeyRows(d, ring))
}

// replicas returns n processes over one database; each learns of the others' changes at once, as over a bus without
// delay.
func replicas(t *testing.T, d *db.DB, n int) []*replica {
	t.Helper()
	all := make([]*replica, n)
	tell := func(e event.Event) {
		for _, r := range all {
			r.lookup.OnEvent(e)
			r.blocks.OnEvent(e)
		}
	}
	for i := range all {
		r := &replica{outbox: outbox.New(d, licensing.Source), link: bus.NewLink(), clock: clock.NewFake(noon)}
		source := r.link.From("license")
		r.link.Tick()
		r.link.Sign("license")
		r.lookup = store.NewLookup(d, keys(t, d, 1), r.clock, store.CacheOptions{Bytes: 64 << 20, Link: source})
		r.store = store.New(store.Deps{DB: d, Outbox: r.outbox, Keys: keys(t, d, 1), Clock: r.clock, Committed: tell})
		r.blocks = store.NewBlocks(d, keys(t, d, 1).Ring, r.clock, source)
		r.rules(r.lookup)
		all[i] = r
	}
	return all
}

func each(t *testing.T, test func(t *testing.T, r *replica, d *db.DB)) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) { test(t, replicas(t, d, 1)[0], d) })
}

func create(t *testing.T, r *replica, n licensing.NewLicense) licensing.Created {
	t.Helper()
	if n.CustomerID == "" {
		n.CustomerID = "acme"
	}
	made, err := r.Create(t.Context(), admin, n)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func seats(n int) licensing.NewLicense {
	return with(licensing.TermsChange{MaxDevices: licensing.Some(n)})
}

func endsIn(days int) licensing.NewLicense { return with(licensing.TermsChange{ExpiresInDays: &days}) }

func with(terms licensing.TermsChange) licensing.NewLicense {
	return licensing.NewLicense{TermsChange: terms}
}

func client(hardwareID string) licensing.Client { return licensing.Client{HardwareID: hardwareID} }

// devicesOf are all devices of a license, latest activation first.
func devicesOf(t testing.TB, s licensing.Reads, licenseID string) ([]licensing.Device, error) {
	page, err := s.Devices(t.Context(), licenseID, nil, licensing.Span{Page: 1, PerPage: 10_000})
	return page.Items, err
}

// check holds the promises that every history must keep.
func check(t *testing.T, r *replica, licenseID string) (active int) {
	t.Helper()
	l, err := r.store.Find(t.Context(), licenseID)
	if err != nil {
		t.Fatal(err)
	}
	devices, err := devicesOf(t, r.store, licenseID)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if d.IsActive {
			active++
		}
	}
	if l.CurrentDevices != active {
		t.Errorf("the counter says %d, %d devices are active", l.CurrentDevices, active)
	}
	return active
}

func events(t *testing.T, r *replica, licenseID, eventType string) (n int) {
	t.Helper()
	all, _, err := r.outbox.List(t.Context(), licenseID, noon.AddDate(-1, 0, 0), nil, 10_000, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Type == eventType {
			n++
		}
	}
	return n
}

func TestCreateAndRead(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		days, five := 30, 5
		metadata := []byte(`{"order": 12345678901234567890, "b":"x"}`)
		made := create(t, r, licensing.NewLicense{Product: "pro", IsTest: true, Metadata: metadata,
			TermsChange: licensing.TermsChange{
				MaxDevices: licensing.Some(five), ExpiresInDays: &days, Features: new([]string{"b", "a"}),
			}})
		l, err := r.store.Find(t.Context(), made.License.ID)
		if err != nil {
			t.Fatal(err)
		}
		if l.Product != "pro" || l.MaxDevices != 5 || !l.ExpiresAt.Equal(noon.AddDate(0, 0, 30)) ||
			!slices.Equal(l.Features, []string{"b", "a"}) || !l.IsTest || l.Version != 1 {
			t.Errorf("read back %+v", l)
		}
		if string(l.Metadata) != string(metadata) {
			t.Errorf("metadata came back as %s", l.Metadata)
		}
		if l.MaskedKey != made.Key[:8]+"********" {
			t.Errorf("masked key %q of %q", l.MaskedKey, made.Key)
		}
		key, err := r.RevealKey(t.Context(), admin, l.ID)
		if err != nil || key != made.Key {
			t.Errorf("revealed %q, %v", key, err)
		}
		if n := events(t, r, l.ID, "license.created"); n != 1 {
			t.Errorf("%d license.created", n)
		}
		if n := events(t, r, l.ID, "audit.recorded"); n != 2 {
			t.Errorf("%d audit entries, want one of create and one of reveal", n)
		}
		_, err = r.store.Find(t.Context(), "0199c1f0-6a52-7c3e-9d58-1f6f7f1f0a11")
		if !errors.Is(err, licensing.ErrNotFound) {
			t.Errorf("unknown id: %v", err)
		}
	})
}

func TestKeysAreUnique(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		create(t, r, licensing.NewLicense{Key: new("Acme-Olive-10")})
		rows := []licensing.NewLicense{
			{CustomerID: "c", Key: new(" ACME-olive-10 ")}, {CustomerID: "c", Key: new("acme-plum-11")},
			{CustomerID: "c", Key: new("ACME-PLUM-11")}, {CustomerID: ""},
		}
		made, errs, err := r.CreateMany(t.Context(), admin, rows)
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(errs[0], licensing.ErrKeyExists) || errs[1] != nil ||
			!errors.Is(errs[2], licensing.ErrKeyExists) || errs[3] == nil {
			t.Errorf("outcomes %v", errs)
		}
		if n := events(t, r, made[0].License.ID, "license.created"); n != 0 {
			t.Error("a refused row published")
		}
		_, total, err := listed(r.store.List(t.Context(), licensing.Filter{Page: 1, PerPage: 10}, r.clock.Now()))
		if err != nil || total != 2 {
			t.Errorf("%d licenses, %v", total, err)
		}
	})
}

func TestSameKeyFromManyCallers(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		var made atomic.Int64
		together(20, func(int) {
			_, err := r.Create(context.Background(), admin,
				licensing.NewLicense{CustomerID: "c", Key: new("the-one-and-only"), Product: "new product"})
			if err == nil {
				made.Add(1)
			} else if !errors.Is(err, licensing.ErrKeyExists) {
				t.Error(err)
			}
		})
		if made.Load() != 1 {
			t.Errorf("%d licenses with one key", made.Load())
		}
	})
}

func together(n int, do func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

func TestActivationIsWholeOrNothing(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		made := create(t, r, seats(2))
		id := made.License.ID
		a, err := r.Activate(t.Context(), made.Key,
			licensing.Client{HardwareID: "one", DeviceName: "One", OSName: "Linux", OSVersion: "6"})
		if err != nil || a.Limits != (licensing.Limits{MaxDevices: 2, CurrentDevices: 1}) {
			t.Fatalf("%+v, %v", a, err)
		}
		if n, err := r.outbox.Pending(t.Context()); n != 3 || err != nil {
			t.Errorf("%d events wait for the relay, want those of the product, the license and the activation (%v)",
				n, err)
		}
		_, err = r.Activate(t.Context(), made.Key, client("one"))
		if !errors.Is(err, licensing.ErrActivated) {
			t.Errorf("again: %v", err)
		}
		if _, err = r.Activate(t.Context(), made.Key, client("two")); err != nil {
			t.Error(err)
		}
		if _, err = r.Activate(t.Context(), made.Key, client("three")); !errors.Is(err, licensing.ErrLimit) {
			t.Errorf("one too many: %v", err)
		}
		if check(t, r, id) != 2 || events(t, r, id, "license.activated") != 2 {
			t.Errorf("%d devices, %d events", check(t, r, id), events(t, r, id, "license.activated"))
		}
		if _, err = r.DeactivateOwn(t.Context(), made.Key, client("one")); err != nil {
			t.Error(err)
		}
		back, err := r.Activate(t.Context(), made.Key, client("one"))
		if err != nil || back.Device.ID != a.Device.ID {
			t.Errorf("a returning device got row %s, had %s: %v", back.Device.ID, a.Device.ID, err)
		}
		if check(t, r, id) != 2 {
			t.Error("a returning device was counted wrongly")
		}
	})
}

// TestSeatsOfALicenseThatEnded has the statement refuse what the lookup, which may lag, lets through.
func TestSeatsOfALicenseThatEnded(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		day, off := 1, false
		expired := create(t, r, endsIn(day))
		inactive := create(t, r, seats(1))
		if _, err := r.Update(t.Context(), admin, inactive.License.ID, licensing.Patch{IsActive: &off}); err != nil {
			t.Fatal(err)
		}
		r.clock.Advance(24 * time.Hour)
		for _, tc := range []struct {
			made licensing.Created
			want error
		}{{expired, licensing.ErrExpired}, {inactive, licensing.ErrInactive}} {
			if _, err := r.Activate(t.Context(), tc.made.Key, client("one")); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if check(t, r, tc.made.License.ID) != 0 || events(t, r, tc.made.License.ID, "license.activated") != 0 {
				t.Errorf("%v, and yet a seat was taken", tc.want)
			}
		}
	})
}

func TestOneDeviceActivatedManyTimesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		made := create(t, r, seats(5))
		var won atomic.Int64
		together(20, func(int) {
			_, err := r.Activate(context.Background(), made.Key, client("same"))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, licensing.ErrActivated) {
				t.Error(err)
			}
		})
		if won.Load() != 1 || check(t, r, made.License.ID) != 1 ||
			events(t, r, made.License.ID, "license.activated") != 1 {
			t.Errorf("%d calls won, %d seats taken", won.Load(), check(t, r, made.License.ID))
		}
	})
}

// TestActivationsThatComeTogether has one among them that the database cannot store (PostgreSQL knows no zero bytes),
// and a caller who has gone.
func TestActivationsThatComeTogether(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		const licenses, devices, limit = 4, 10, 7
		var made [licenses]licensing.Created
		for i := range made {
			made[i] = create(t, r, seats(limit))
		}
		zero, unwanted := create(t, r, seats(1)), create(t, r, seats(1))
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		var won [licenses]atomic.Int64
		together(licenses*devices+2, func(i int) {
			switch i {
			case licenses * devices:
				_, err := r.Activate(t.Context(), zero.Key, client("zero\x00"))
				if (err != nil) != (d.Engine() == db.Postgres) {
					t.Errorf("a zero byte: %v", err)
				}
				return
			case licenses*devices + 1:
				_, err := r.Activate(gone, unwanted.Key, client("gone"))
				if !errors.Is(err, context.Canceled) || check(t, r, unwanted.License.ID) != 0 {
					t.Errorf("a caller who has gone: %v, %d seats", err, check(t, r, unwanted.License.ID))
				}
				return
			}
			a, err := r.Activate(t.Context(), made[i%licenses].Key, client("device-"+strconv.Itoa(i)))
			tolerate(t, err, licensing.ErrLimit)
			if err == nil {
				won[i%licenses].Add(1)
				if a.Device.LicenseID != made[i%licenses].License.ID || a.Limits.CurrentDevices < 1 ||
					a.Limits.CurrentDevices > limit {
					t.Errorf("got the answer %+v", a)
				}
			}
		})
		for i := range made {
			id := made[i].License.ID
			if won[i].Load() != limit || check(t, r, id) != limit || events(t, r, id, "license.activated") != limit {
				t.Errorf("%d acknowledged, %d active, %d events, want %d of each",
					won[i].Load(), check(t, r, id), events(t, r, id, "license.activated"), limit)
			}
		}
	})
}

// TestSeatRace: 40 devices race for 5 seats, with devices that leave and return, transfers and limit changes among
// them, on two processes.
func TestSeatRace(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		rs := replicas(t, d, 2)
		made := create(t, rs[0], seats(5))
		id := made.License.ID
		var activated, left atomic.Int64
		together(40, func(i int) {
			r, me := rs[i%2], client("device-"+string(rune('A'+i)))
			for round := range 4 {
				_, err := r.Activate(context.Background(), made.Key, me)
				tolerate(t, err, licensing.ErrLimit, licensing.ErrActivated)
				if err == nil {
					activated.Add(1)
				}
				switch (i + round) % 4 {
				case 0:
					_, err := r.DeactivateOwn(context.Background(), made.Key, me)
					tolerate(t, err, licensing.ErrUnknownHardwareID)
					if err == nil {
						left.Add(1)
					}
				case 1:
					_, err := r.Transfer(context.Background(), admin, id,
						licensing.Move{From: me.HardwareID, To: me.HardwareID + "-moved"})
					tolerate(t, err, licensing.ErrUnknownHardwareID, licensing.ErrActivated)
				case 2:
					limit := 4 + round%2
					_, err := r.Update(context.Background(), admin, id,
						licensing.Patch{TermsChange: licensing.TermsChange{MaxDevices: licensing.Some(limit)}})
					tolerate(t, err)
				}
			}
		})
		active := check(t, rs[0], id)
		if active > 5 {
			t.Errorf("%d devices on 5 seats", active)
		}
		if int64(active) != activated.Load()-left.Load() {
			t.Errorf("%d activations and %d departures were acknowledged, %d devices are active",
				activated.Load(), left.Load(), active)
		}
		if n := events(t, rs[0], id, "license.activated"); int64(n) != activated.Load() {
			t.Errorf("%d events for %d activations", n, activated.Load())
		}
		if activated.Load() < 5 {
			t.Errorf("only %d activations: the race did not take place", activated.Load())
		}
	})
}

func tolerate(t *testing.T, err error, expected ...error) {
	t.Helper()
	if err != nil && !slices.ContainsFunc(expected, func(e error) bool { return errors.Is(err, e) }) {
		t.Error(err)
	}
}

func TestRefusedChangeWritesNothing(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		made := create(t, r, seats(1))
		broken := errors.New("refused late")
		err := r.store.Change(t.Context(), made.License.ID, []string{"new"}, func(ch *licensing.Change) error {
			ch.License.MaxDevices, ch.License.Version = 9, 9
			ch.Devices["new"] = &licensing.Device{ID: made.License.ID, LicenseID: made.License.ID, HardwareID: "new"}
			return broken
		})
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		l, err := r.store.Find(t.Context(), made.License.ID)
		if err != nil || l.MaxDevices != 1 || l.Version != 1 {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

func TestLookupIsWarmUntilSomethingChanges(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		rs := replicas(t, d, 2)
		here, there := rs[0], rs[1]
		made := create(t, here, seats(3))
		if _, err := here.Activate(t.Context(), made.Key, client("desk")); err != nil {
			t.Fatal(err)
		}
		warm := func() {
			t.Helper()
			for _, want := range []bool{false, true} {
				v, err := there.Validate(t.Context(), strings.ToLower(made.Key), client("desk"))
				if err != nil || !v.Valid || v.Cached != want {
					t.Fatalf("valid %v, cached %v, want %v: %v", v.Valid, v.Cached, want, err)
				}
			}
		}
		warm()
		if _, err := here.Activate(t.Context(), made.Key, client("lap")); err != nil {
			t.Fatal(err)
		}
		v, err := there.Validate(t.Context(), made.Key, client("desk"))
		if err != nil || v.License.CurrentDevices != 2 {
			t.Errorf("the other process still counts %d devices: %v", v.License.CurrentDevices, err)
		}
		if _, err := here.Transfer(t.Context(), admin, made.License.ID,
			licensing.Move{From: "desk", To: "tower"}); err != nil {
			t.Fatal(err)
		}
		if v, err := there.Validate(t.Context(), made.Key, client("desk")); err != nil || v.Valid {
			t.Errorf("a transferred device is still valid: %v", err)
		}
		off := false
		if _, err := here.Update(t.Context(), admin, made.License.ID, licensing.Patch{IsActive: &off}); err != nil {
			t.Fatal(err)
		}
		if _, err := there.Validate(t.Context(), made.Key, client("tower")); !errors.Is(err, licensing.ErrInactive) {
			t.Errorf("a deactivated license: %v", err)
		}
	})
}

func TestLookupWithoutLinkForgetsWithinSeconds(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		made := create(t, r, seats(3))
		if _, err := r.Activate(t.Context(), made.Key, client("desk")); err != nil {
			t.Fatal(err)
		}
		cached := func() bool {
			v, err := r.Validate(t.Context(), made.Key, client("desk"))
			if err != nil {
				t.Fatal(err)
			}
			return v.Cached
		}
		cached()
		r.link.Lose()
		if !cached() {
			t.Error("not even a moment in memory without link")
		}
		r.clock.Advance(5*time.Second + time.Millisecond)
		if cached() {
			t.Error("an entry lived more than 5 s without link")
		}
	})
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		days, trial := 10, true
		for i, n := range []licensing.NewLicense{
			{CustomerID: "acme", IsTest: true}, {CustomerID: "acme",
				TermsChange: licensing.TermsChange{ExpiresInDays: &days}},
			{CustomerID: "brick", TermsChange: licensing.TermsChange{IsTrial: &trial}},
		} {
			r.clock.Set(noon.Add(time.Duration(i) * time.Hour))
			create(t, r, n)
		}
		acme, yes, no := "acme", true, false
		at := func(h int) *time.Time { when := noon.Add(time.Duration(h) * time.Hour); return &when }
		berlin := noon.In(time.FixedZone("", 3600)).Add(time.Hour)
		for name, tc := range map[string]struct {
			filter licensing.Filter
			want   int
		}{
			"all":                     {licensing.Filter{}, 3},
			"customer":                {licensing.Filter{CustomerID: &acme}, 2},
			"test":                    {licensing.Filter{IsTest: &yes}, 1},
			"inactive":                {licensing.Filter{IsActive: &no}, 0},
			"no trial":                {licensing.Filter{IsTrial: &no}, 2},
			"trial":                   {licensing.Filter{IsTrial: &yes}, 1},
			"created from, inclusive": {licensing.Filter{CreatedAfter: at(1)}, 2},
			"created to, exclusive":   {licensing.Filter{CreatedBefore: at(1)}, 1},
			"other time zone":         {licensing.Filter{CreatedAfter: &berlin}, 2},
			"expires after":           {licensing.Filter{ExpiresAfter: at(0)}, 1},
			"expires before":          {licensing.Filter{ExpiresBefore: at(24 * 365)}, 1},
		} {
			tc.filter.Page, tc.filter.PerPage = 1, 2
			page, total, err := listed(r.store.List(t.Context(), tc.filter, r.clock.Now()))
			if err != nil || total != tc.want || len(page) != min(tc.want, 2) {
				t.Errorf("%s: %d of %d, want %d: %v", name, len(page), total, tc.want, err)
			}
			if len(page) > 1 && page[0].CreatedAt.Before(page[1].CreatedAt) {
				t.Errorf("%s: not newest first", name)
			}
		}
		page, total, err := listed(r.store.List(t.Context(), licensing.Filter{Page: 3, PerPage: 2}, r.clock.Now()))
		if err != nil || total != 3 || len(page) != 0 {
			t.Errorf("past the end: %d of %d, %v", len(page), total, err)
		}
	})
}

func TestCount(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		soon, later, off := 10, 100, false
		create(t, r, endsIn(soon))
		create(t, r, licensing.NewLicense{IsTest: true, TermsChange: licensing.TermsChange{ExpiresInDays: &later}})
		dead := create(t, r, seats(2))
		ended := create(t, r, licensing.NewLicense{})
		if _, err := r.Activate(t.Context(), dead.Key, client("a")); err != nil {
			t.Fatal(err)
		}
		past := noon.Add(-time.Hour)
		for id, p := range map[string]licensing.Patch{dead.License.ID: {IsActive: &off},
			ended.License.ID: {TermsChange: licensing.TermsChange{
				ExpiresAt: licensing.Some(licensing.End{At: past}),
			}}} {
			if _, err := r.Update(t.Context(), admin, id, p); err != nil {
				t.Fatal(err)
			}
		}
		got, err := r.store.Count(t.Context(), noon)
		want := licensing.Counts{
			Total:          4,
			Active:         2,
			Inactive:       1,
			Expired:        1,
			Test:           1,
			Expiring30Days: 1,
			ActiveDevices:  1,
		}
		if err != nil || got != want {
			t.Errorf("%+v, want %+v: %v", got, want, err)
		}
	})
}

func TestNearSeatLimit(t *testing.T) {
	each(t, func(t *testing.T, r *replica, _ *db.DB) {
		fill := func(max, used int) {
			made := create(t, r, seats(max))
			for i := range used {
				if _, err := r.Activate(t.Context(), made.Key, client("device-"+strconv.Itoa(i))); err != nil {
					t.Fatal(err)
				}
			}
		}
		fill(1, 1)   // one seat that is taken is no news
		fill(2, 2)   // full
		fill(10, 9)  // nearly full
		fill(10, 10) // full
		fill(10, 8)
		full, nearly, err := r.store.NearSeatLimit(t.Context(), noon)
		if full != 2 || nearly != 1 || err != nil {
			t.Errorf("%d full, %d nearly full: %v; want 2 and 1", full, nearly, err)
		}
	})
}

func TestExpiringIsAnnouncedOnce(t *testing.T) {
	testkit.EachEngine(t, migrations, func(t *testing.T, d *db.DB) {
		rs := replicas(t, d, 2)
		days := 40
		made := create(t, rs[0], endsIn(days))
		for at := noon; at.Before(noon.AddDate(0, 0, 45)); at = at.AddDate(0, 0, 1) {
			together(2, func(i int) {
				rs[i].clock.Set(at)
				if _, err := rs[i].AnnounceExpiring(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		if n := events(t, rs[0], made.License.ID, "license.expiring"); n != 3 {
			t.Errorf("announced %d times, want at 30, 7 and 1 days", n)
		}
	})
}

func TestSeenIsWrittenInBatches(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		made := create(t, r, seats(2))
		for _, id := range []string{"a", "b"} {
			if _, err := r.Activate(t.Context(), made.Key, client(id)); err != nil {
				t.Fatal(err)
			}
		}
		before, err := devicesOf(t, r.store, made.License.ID)
		if err != nil {
			t.Fatal(err)
		}
		seen := store.NewSeen(d, r.clock, r.lookup.ForgetDevice, testkit.Log(t))
		later := noon.Add(time.Minute)
		for _, device := range before {
			seen.Seen(licensing.Sighting{DeviceID: uuid.MustParse(device.ID), At: later})
		}
		first := uuid.MustParse(before[0].ID)
		seen.Seen(licensing.Sighting{DeviceID: first, At: later, SessionData: []byte(`{"open":3}`)})
		seen.Seen(licensing.Sighting{DeviceID: first, At: later.Add(time.Second)})
		ctx, stop := context.WithCancel(t.Context())
		stop() // Run writes once more when it ends
		if err := seen.Run(ctx); err != nil {
			t.Fatal(err)
		}
		after, err := devicesOf(t, r.store, made.License.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !after[1].LastSeenAt.Equal(later) || string(after[0].SessionData) != `{"open":3}` ||
			!after[0].LastSeenAt.Equal(later.Add(time.Second)) {
			t.Errorf("after it: %+v", after)
		}
	})
}

// TestWhatADeviceSaysOfItself: the last word of each member counts, what is left out stays, and what is known is not
// written.
func TestWhatADeviceSaysOfItself(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		made := create(t, r, seats(2))
		activated, err := r.Activate(t.Context(), made.Key,
			licensing.Client{HardwareID: "pc", DeviceName: "Old", OSName: "Windows", OSVersion: "14", AppVersion: "1"})
		if err != nil {
			t.Fatal(err)
		}
		forgotten := 0
		flush := func(said ...licensing.Profile) licensing.Profile {
			t.Helper()
			seen := store.NewSeen(d, r.clock, func(licenseID, hardwareID string) {
				forgotten++
				r.lookup.ForgetDevice(licenseID, hardwareID)
			}, testkit.Log(t))
			known, _, err := r.lookup.ActiveDevice(t.Context(), made.License.ID, "pc")
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range said {
				seen.Seen(licensing.Sighting{
					LicenseID:  made.License.ID,
					HardwareID: "pc",
					DeviceID:   known.ID,
					At:         noon,
					Stored:     known.Profile,
					Said:       p,
				})
			}
			ctx, stop := context.WithCancel(t.Context())
			stop()
			if err := seen.Run(ctx); err != nil {
				t.Fatal(err)
			}
			devices, err := devicesOf(t, r.store, made.License.ID)
			if err != nil || len(devices) != 1 || devices[0].ID != activated.Device.ID {
				t.Fatalf("%v, %v", devices, err)
			}
			return devices[0].Profile
		}
		if got, want := flush(licensing.Profile{Name: "New"}, licensing.Profile{OSVersion: "15"}, licensing.Profile{}),
			(licensing.Profile{Name: "New", OSName: "Windows", OSVersion: "15", AppVersion: "1"}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if forgotten != 1 {
			t.Errorf("memory forgot the device %d times, want once", forgotten)
		}
		flush(licensing.Profile{Name: "New", OSName: "Windows"}, licensing.Profile{Name: "Other"},
			licensing.Profile{Name: "New"})
		if forgotten != 1 {
			t.Error("what was known was written again")
		}
		if _, err := r.DeactivateOwn(t.Context(), made.Key, client("pc")); err != nil {
			t.Fatal(err)
		}
		back, err := r.Activate(t.Context(), made.Key, licensing.Client{HardwareID: "pc", AppVersion: "2"})
		if want := (licensing.Profile{Name: "New", OSName: "Windows", OSVersion: "15", AppVersion: "2"}); err != nil ||
			back.Device.Profile != want {
			t.Errorf("came back as %+v, want %+v (%v)", back.Device.Profile, want, err)
		}
	})
}
