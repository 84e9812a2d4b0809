package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// harness is a batch of activations in the making, by the names of licenses.
type harness struct {
	*Store
	t    *testing.T
	ids  map[string]string
	wish []seatRequest
	told []string
}

func eachEngine(t *testing.T, test func(t *testing.T, b *harness)) {
	t.Helper()
	testkit.EachEngine(t, []db.Migrations{Migrations, outbox.Migrations, masterkey.Migrations},
		func(t *testing.T, d *db.DB) { test(t, newHarness(t, d)) })
}

func newHarness(t *testing.T, d *db.DB) *harness {
	t.Helper()
	ring, err := keyring.New("license", slices.Repeat([]byte{1}, keyring.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	b := &harness{t: t, ids: map[string]string{}}
	b.Store = New(Deps{
		DB: d, Outbox: outbox.New(d, licensing.Source), Keys: masterkey.New(d, ring), Clock: clock.NewFake(noon),
		Committed: func(e event.Event) { b.told = append(b.told, e.ID) },
	})
	return b
}

func (b *harness) license(name string, seats int, change func(*licensing.License)) {
	b.t.Helper()
	l := licensing.License{
		ID:        uuid.NewString(),
		Product:   licensing.DefaultProduct,
		Terms:     licensing.Terms{MaxDevices: seats},
		IsActive:  true,
		Version:   1,
		CreatedAt: noon,
		UpdatedAt: noon,
	}
	change(&l)
	b.ids[name] = l.ID
	if _, err := b.Create(b.t.Context(), []licensing.NewRow{{License: l, Key: name}}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *harness) want(license, hardwareID string) {
	b.t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	d := licensing.Device{
		ID:          id,
		LicenseID:   b.ids[license],
		HardwareID:  hardwareID,
		IsActive:    true,
		ActivatedAt: noon,
		LastSeenAt:  noon,
	}
	e, err := event.New(licensing.Source, d.LicenseID, noon,
		&eventsv1.LicenseActivated{LicenseId: d.LicenseID, DeviceId: id, HardwareId: hardwareID})
	if err != nil {
		b.t.Fatal(err)
	}
	b.wish = append(b.wish, seatRequest{d, e})
}

// send sends the batch and describes the outcomes.
func (b *harness) send() (all []string) {
	b.t.Helper()
	results, err := b.runSeats(b.t.Context(), seatStatement, b.wish)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, o := range results {
		text := "not settled"
		if o.settled {
			text = "refused"
		}
		if o.seat != nil {
			text = fmt.Sprintf("seat %d of %d", o.seat.Limits.CurrentDevices, o.seat.Limits.MaxDevices)
		}
		all = append(all, b.wish[i].device.HardwareID+": "+text)
	}
	b.wish = nil
	return all
}

// state is what the tables hold of a license: the counter, the active devices, the version, and its events in their
// order.
func (b *harness) state(name string) string {
	b.t.Helper()
	l, err := b.Find(b.t.Context(), b.ids[name])
	if err != nil {
		b.t.Fatal(err)
	}
	page, err := b.Devices(b.t.Context(), l.ID, nil, licensing.Span{Page: 1, PerPage: 10_000})
	if err != nil {
		b.t.Fatal(err)
	}
	devices := page.Items
	active := 0
	for _, d := range devices {
		if d.IsActive {
			active++
		}
	}
	var events []string
	err = b.db.Read(b.t.Context()).Raw(`SELECT (data->>'hardware_id') || (data->>'current_devices') || '/' ||
		(data->>'max_devices') || 'v' || (data->>'version')
		FROM outbox WHERE subject = ? ORDER BY seq`, l.ID).Scan(&events).Error
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf("%d of %d, v%d, %s", l.CurrentDevices, active, l.Version, strings.Join(events, " "))
}

func same(*licensing.License) {}

func TestABatchOfManyOutcomes(t *testing.T) {
	eachEngine(t, func(t *testing.T, b *harness) {
		b.license("wide", 5, same)
		b.license("narrow", 2, same)
		b.license("off", 5, func(l *licensing.License) { l.IsActive = false })
		b.license("over", 5, func(l *licensing.License) { l.ExpiresAt = noon })
		b.ids["unknown"] = uuid.NewString()
		b.want("wide", "old")
		b.send()
		for _, w := range [][2]string{
			{"wide", "a"}, {"narrow", "b"}, {"off", "c"}, {"wide", "old"}, {"narrow", "d"}, {"over", "e"},
			{"narrow", "f"}, {"wide", "g"},
			{"wide", "a"}, {"unknown", "h"},
		} {
			b.want(w[0], w[1])
		}
		want := []string{
			"a: seat 2 of 5", "b: seat 1 of 2", "c: refused", "old: refused", "d: seat 2 of 2", "e: refused",
			"f: refused",
			"g: seat 3 of 5", "a: refused", "h: not settled",
		}
		if diff := cmp.Diff(want, b.send()); diff != "" {
			t.Errorf("outcomes, -want +got:\n%s", diff)
		}
		for name, want := range map[string]string{
			"wide": "3 of 3, v4, old1/5v2 a2/5v3 g3/5v4", "narrow": "2 of 2, v3, b1/2v2 d2/2v3", "off": "0 of 0, v1, ",
			"over": "0 of 0, v1, ",
		} {
			if got := b.state(name); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		if unsent, err := b.outbox.Pending(t.Context()); unsent != 5 || err != nil || len(b.told) != 5 {
			t.Errorf("%d events wait to be sent, %v, and the caches were told of %d seats; want 5",
				unsent, err, len(b.told))
		}
	})
}

// TestALicenseThatSomebodyHoldsIsSkipped: on SQLite nobody can hold one license only.
func TestALicenseThatSomebodyHoldsIsSkipped(t *testing.T) {
	b := newHarness(t, testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "license"}, Migrations,
		outbox.Migrations, masterkey.Migrations))
	b.license("here", 5, same)
	b.license("elsewhere", 5, same)
	b.want("here", "a")
	b.want("elsewhere", "b")
	var got []string
	err := b.Change(t.Context(), b.ids["elsewhere"], nil, func(*licensing.Change) error { // its lock is held meanwhile
		got = b.send()
		return nil
	})
	if diff := cmp.Diff([]string{"a: seat 1 of 5", "b: not settled"}, got); err != nil || diff != "" {
		t.Errorf("outcomes, -want +got:\n%s, %v", diff, err)
	}
	if got := b.state("elsewhere"); got != "0 of 0, v1, " {
		t.Errorf("the license has %s", got)
	}
}

// TestASeatTakenInATransactionThatFails: with an Idempotency-Key the answer that is kept with the seat may not be
// written.
func TestASeatTakenInATransactionThatFails(t *testing.T) {
	eachEngine(t, func(t *testing.T, b *harness) {
		b.license("one", 1, same)
		b.want("one", "a")
		broken := fmt.Errorf("the answer cannot be kept")
		take := func(ctx context.Context) error {
			o, err := b.requestSeat(ctx, b.wish[0])
			if o.seat == nil {
				t.Error("no seat")
			}
			return err
		}
		err := b.db.InUnit(t.Context(), take, func(context.Context, *gorm.DB) error { return broken })
		if err == nil || b.state("one") != "0 of 0, v1, " || len(b.told) != 0 {
			t.Errorf("%v, and the license has %s; told %d", err, b.state("one"), len(b.told))
		}
		if err := take(t.Context()); err != nil || b.state("one") != "1 of 1, v2, a1/1v2" || len(b.told) != 1 {
			t.Errorf("%v, and the license has %s; told %d", err, b.state("one"), len(b.told))
		}
	})
}

// TestTheEventOfASeatIsWhole: nothing that a client sent may suffer on its way through the documents of SQLite.
func TestTheEventOfASeatIsWhole(t *testing.T) {
	eachEngine(t, func(t *testing.T, b *harness) {
		b.license("one", 1, same)
		b.want("one", `Zoë's "PC" <b> \u0041 🦆`)
		b.wish[0].event.Trace = "00-11111111111111111111111111111111-2222222222222222-01"
		sent := b.wish[0].event
		b.send()
		var row struct {
			ID, Type, Source, Subject, Trace string
			OccurredAt                       time.Time
			Data                             db.JSON
		}
		err := b.db.Read(t.Context()).Raw(`SELECT id, type, source, subject, trace, occurred_at, data FROM outbox`).
			Scan(&row).Error
		if err != nil {
			t.Fatal(err)
		}
		got := event.Event{
			ID:      row.ID,
			Type:    row.Type,
			Source:  row.Source,
			Subject: row.Subject,
			Trace:   row.Trace,
			Time:    row.OccurredAt.UTC(),
		}
		var gotData, sentData eventsv1.LicenseActivated
		got.Data = []byte(row.Data)
		if err := errors.Join(got.Into(&gotData), sent.Into(&sentData)); err != nil {
			t.Fatal(err)
		}
		sentData.CurrentDevices, sentData.MaxDevices, sentData.Version = 1, 1, 2
		if diff := cmp.Diff(&sentData, &gotData, protocmp.Transform()); diff != "" {
			t.Errorf("data, -want +got:\n%s", diff)
		}
		if got.Data, sent.Data = nil, nil; cmp.Diff(sent, got) != "" {
			t.Errorf("-want +got:\n%s", cmp.Diff(sent, got))
		}
		page, err := b.Devices(t.Context(), b.ids["one"], nil, licensing.Span{Page: 1, PerPage: 100})
		devices := page.Items
		if err != nil || len(devices) != 1 || devices[0].HardwareID != sentData.GetHardwareId() ||
			!devices[0].ActivatedAt.Equal(noon) ||
			!devices[0].LastSeenAt.Equal(noon) {
			t.Errorf("devices %+v, %v", devices, err)
		}
	})
}

// TestWhatOneBringsFailsNobodyElse: PostgreSQL stores no zero bytes, so the statement fails.
func TestWhatOneBringsFailsNobodyElse(t *testing.T) {
	b := newHarness(t, testkit.Open(t, db.Config{URL: testkit.Postgres(t), Schema: "license"}, Migrations,
		outbox.Migrations, masterkey.Migrations))
	b.license("one", 2, same)
	b.want("one", "a")
	b.want("one", "zero\x00")
	if all, err := b.runBatch(t.Context(), b.wish); err != nil || all[0].settled || all[1].settled {
		t.Errorf("a batch that failed: %+v, %v", all, err)
	}
	if o, err := b.requestSeat(t.Context(), b.wish[0]); err != nil || o.seat == nil {
		t.Errorf("by itself: %+v, %v", o, err)
	}
	if o, err := b.requestSeat(t.Context(), b.wish[1]); err == nil {
		t.Errorf("the one that cannot be stored: %+v", o)
	}
	if got := b.state("one"); got != "1 of 1, v2, a1/2v2" {
		t.Errorf("the license has %s", got)
	}
}

// TestNobodyTriesAgainAfterAnOutage: the statement may have been committed.
func TestNobodyTriesAgainAfterAnOutage(t *testing.T) {
	away, err := db.Open(t.Context(), db.Config{URL: "postgres://nobody@127.0.0.1:1/nothing"})
	if err != nil {
		t.Fatal(err)
	}
	b := &harness{
		t:     t,
		ids:   map[string]string{"one": uuid.NewString()},
		Store: New(Deps{DB: away, Clock: clock.NewFake(noon)}),
	}
	b.want("one", "a")
	if all, err := b.runBatch(t.Context(), b.wish); !errors.Is(err, apierr.ErrUnavailable) {
		t.Errorf("%+v, %v without a database", all, err)
	}
}
