//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/test/suite"
)

// tokenLimit is what the tokens of one device may be used for within a minute.
const tokenLimit = 40

// TestFloodsDoNotFillTheTables repeats every call of a stranger, and of who holds one seat and the key of an
// application. What comes later leaves no more rows and bytes than what came first, but in tables that are pruned, and
// there until a limit ends it.
func TestFloodsDoNotFillTheTables(t *testing.T) {
	t.Parallel()
	settings := []string{"LATCHKEY_ADDRESS_LIMITS=true", "LATCHKEY_TRUSTED_PROXIES=127.0.0.1",
		fmt.Sprint("LATCHKEY_TOKEN_RATE_LIMIT=", tokenLimit)}
	for name, o := range map[string]suite.Options{
		"embedded": {Embedded: true, Settings: settings}, "processes": {Settings: settings},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFlooder(own(t, o))
			f.coverEverything()
			for _, flood := range slices.Concat(floods, springFloods) {
				t.Run(flood.name, func(t *testing.T) { f.as(t).run(flood) })
			}
		})
	}
}

// flood is a call, or a few, that somebody repeats.
type flood struct {
	name string
	// operations are the ids of what is called, as the documents have them.
	operations string
	// leaves are the tables in which rows of each call may stay, to be pruned as kept says.
	leaves string
	// call is made for the ith time; its answer has status at first, and refused in the end, when a limit is reached.
	call            func(f *flooder, i int) answer
	status, refused int
	// window is how many calls a minute the limit lets through, where it is not for an hour.
	window int
}

// kept says what ends the rows that floods leave in a table: words of docs/operations.md, where it tells what is kept.
var kept = map[string]string{
	"admin.audit_entries":        "the audit log",
	"analytics.devices":          "what detectors remember",
	"analytics.events":           "raw events",
	"analytics.inbox":            "ids of events",
	"analytics.licenses":         "trials",
	"analytics.telemetry_inbox":  "ids of events",
	"auth.idempotency_keys":      "answers kept for an `Idempotency-Key`",
	"auth.refresh_tokens":        "tokens of a device",
	"auth.token_families":        "tokens of a device",
	"license.counter_devices":    "parts of devices",
	"license.counter_operations": "counters: operation ids",
	"license.customers":          "trials",
	"license.delegated_slaves":   "slave keys",
	"license.devices":            "devices that left their seats",
	"license.idempotency_keys":   "answers kept for an `Idempotency-Key`",
	"license.leases":             "leases that ended",
	"license.licenses":           "trials",
	"license.offline_requests":   "offline requests",
	"license.outbox":             "events of changes (outbox)",
	"license.rate_limits":        "counts of calls",
	"license.trials":             "trials",
}

const (
	// perPart is how many calls a part of a flood has.
	perPart = 12
	// perCall is the most rows of a table that a call may leave which is made of several.
	perCall = 8
	// bytesPerRow is what each of them may hold on average.
	bytesPerRow = 1 << 10
)

// size is what a table holds.
type size struct{ rows, bytes int }

// run makes a flood in three parts; the third is of what a limit refuses.
func (f *flooder) run(x flood) {
	f.Helper()
	if a := f.next(x); a.status != x.status {
		f.Fatalf("%d %.300s, want %d", a.status, a.raw, x.status)
	}
	f.part(x, perPart)
	first := f.sizes()
	f.part(x, perPart)
	second := f.sizes()
	const few = perPart / 3 // of the things beside the flood
	f.compare("the second part", x.leaves, first, second, few)
	if x.refused == 0 {
		return
	}
	f.now = f.spent
	for range 1000 {
		if f.next(x).status == x.refused {
			break
		}
	}
	limited := f.sizes()
	f.part(x, perPart+4*x.window)
	if a := f.next(x); a.status != x.refused && x.window == 0 {
		f.Errorf("at last: %d %.300s, want %d", a.status, a.raw, x.refused)
	}
	f.compare("what was refused", "", limited, f.sizes(), few+x.window) // and of what the limit lets through
}

func (f *flooder) part(x flood, calls int) {
	for range calls {
		f.next(x)
	}
}

func (f *flooder) next(x flood) answer {
	*f.last++
	return x.call(f, *f.last)
}

// compare tells of tables that have grown by more than few rows, or by larger rows, where they must not, and of those
// that have not, where they do.
func (f *flooder) compare(part, leaves string, before, after map[string]size, few int) {
	f.Helper()
	for _, table := range slices.Sorted(maps.Keys(after)) {
		rows, bytes := after[table].rows-before[table].rows, after[table].bytes-before[table].bytes
		grows, most := slices.Contains(strings.Fields(leaves), table), few
		if grows {
			most = perCall * perPart
		}
		if rows > most || bytes > most*bytesPerRow {
			f.Errorf("%s leaves %d rows and %d bytes in %s", part, rows, bytes, table)
		}
		// In one process limits are counted in memory.
		if grows && rows <= perPart/3 && !(f.embedded && table == "license.rate_limits") {
			f.Errorf("%s leaves %d rows in %s, where the flood is said to leave rows", part, rows, table)
		}
	}
}

// sizes is what all tables hold, when what was told by events has arrived.
func (f *flooder) sizes() map[string]size {
	f.Helper()
	f.eventually(func() (err error) {
		f.everyRow(func(table string, _ [][]byte) { err = fmt.Errorf("%s has rows", table) }, ".outbox_unsent")
		return err
	})
	*f.marks++
	mark := fmt.Sprint("mark ", *f.marks)
	f.want(f.license("validate", device(f.markedKey, "pc")), 200, "")
	f.want(f.admin("PATCH", "/licenses/"+f.marked, fmt.Sprintf(`{"metadata":{"mark":%q}}`, mark)), 200, "")
	f.usage(f.marked, "validations", *f.marks)
	f.eventually(func() error {
		a := f.admin("GET", "/audit?license_id="+f.marked+"&per_page=1", "")
		if !strings.Contains(string(a.raw), mark) {
			return fmt.Errorf("the audit log has no %q yet: %s", mark, a.raw)
		}
		return nil
	})
	all := map[string]size{}
	f.everyRow(func(table string, row [][]byte) {
		s := all[table]
		s.rows++
		for _, value := range row {
			s.bytes += len(value)
		}
		all[table] = s
	})
	return all
}

// TestWhatFloodsLeaveIsPruned: of each table in which a flood leaves rows the documentation says for how long.
func TestWhatFloodsLeaveIsPruned(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, doc, _ = bytes.Cut(doc, []byte("## What is kept, and for how long\n"))
	doc, _, _ = bytes.Cut(doc, []byte("\n## "))
	left := map[string]bool{}
	for _, x := range slices.Concat(floods, springFloods) {
		for _, table := range strings.Fields(x.leaves) {
			left[table] = true
			if words := kept[table]; words == "" || !bytes.Contains(doc, []byte(words)) {
				t.Errorf("%s leaves rows in %s; docs/operations.md does not say how long: %q", x.name, table, words)
			}
		}
	}
	if len(left) < len(kept) {
		t.Errorf("floods leave rows in %d tables, kept names %d", len(left), len(kept))
	}
}

// coverEverything demands a flood of each operation that needs no credential of an administrator.
func (f *flooder) coverEverything() {
	f.Helper()
	var flooded []string
	for _, x := range slices.Concat(floods, springFloods) {
		flooded = append(flooded, strings.Fields(x.operations)...)
	}
	for _, op := range (&attacker{harness: f.harness}).all() {
		ofAdministrators := strings.HasPrefix(op.header, "X-Admin-") || slices.Contains(op.Tags, "spectra-analyze")
		if !ofAdministrators && !slices.Contains(flooded, op.OperationID) {
			f.Errorf("nothing floods %s (%s %s)", op.OperationID, op.method, op.path)
		}
	}
}
