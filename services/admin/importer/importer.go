// Package importer is the command that takes over licenses from a file: it reads what another system exported, and has
// the admin API import it, so that roles, the audit log and replicas hold, from any machine. A file whose import broke
// off is imported again: what is there already stays as it is.
package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"time"
)

// Formats of files.
const (
	LicenseSpring = "licensespring"
	Generic       = "csv"
)

// options are those of the command.
type options struct {
	from, product, customer string
	columns                 map[string]string
	dryRun, update          bool
}

// run is one import.
type run struct {
	options
	target target
	reader *reader
	refuse func(problem) error
	// progress is called after each call.
	progress func(counts)
	counts   counts
	// seen are the licenses of the file by the hashes of their keys.
	seen map[uint64]seen
	// known are the products that there are, made those that a dry run finds missing.
	known, made map[string]bool
	seed        maphash.Seed
}

// seen is what is remembered of a license: the line that was refused, 0 for none, and the hash of its customer_id.
type seen struct {
	refused  int
	customer uint64
}

// counts are how many licenses there were of each outcome; refused counts lines that are no license, too.
type counts struct {
	created, updated, unchanged, differs, refused int
}

func (c counts) all() int { return c.created + c.updated + c.unchanged + c.differs + c.refused }

// all imports a file. Each call is a whole: an import that broke off is made again and goes on where it was.
func (r *run) all(ctx context.Context) error {
	r.seen, r.seed = map[uint64]seen{}, maphash.MakeSeed()
	r.made = map[string]bool{}
	if r.dryRun {
		known, err := r.target.products(ctx)
		if err != nil {
			return err
		}
		r.known = known
	}
	var b batch
	for {
		next, err := r.reader.read()
		if errors.Is(err, io.EOF) {
			return r.send(ctx, b.rows)
		}
		if err != nil {
			return err
		}
		r.complete(next)
		if !b.takes(next) {
			if err := r.send(ctx, b.rows); err != nil {
				return err
			}
			b = batch{}
		}
		if r.check(next); len(next.wrong) > 0 {
			if err := r.note(next); err != nil {
				return err
			}
			continue
		}
		b.add(next)
	}
}

// batch is what is sent in one call.
type batch struct {
	rows        []*row
	size, bytes int
}

func (b *batch) takes(next *row) bool {
	return len(b.rows) == 0 || len(b.rows) < maxRows && b.size+next.size <= maxSize &&
		b.bytes+next.bytes <= maxBytes && !slices.ContainsFunc(b.rows, next.sameKey)
}

func (b *batch) add(next *row) {
	b.rows = append(b.rows, next)
	b.size += next.size
	b.bytes += next.bytes
}

// complete fills in what the file does not say.
func (r *run) complete(next *row) {
	for name, value := range map[string]string{"product": r.product, "customer_id": r.customer} {
		if _, given := next.members[name]; !given && value != "" {
			next.members[name] = value
		}
	}
	text, _ := json.Marshal(next.members) // were read from text
	next.bytes = len(text)
}

// check refuses a license that is too large for a call, and a key that an earlier line had. Where licenses are updated,
// a key may come again, unless the line was refused or is about another customer.
func (r *run) check(next *row) {
	if next.same == "" {
		return
	}
	before, known := r.seen[r.hash(next.same)]
	now := before
	if customer, given := next.members["customer_id"].(string); given {
		now.customer = r.hash(customer)
	}
	switch {
	case before.refused > 0:
		next.spoilBy(before.refused)
	case len(next.wrong) > 0:
		next.spoilBy(next.wrong[0].Line)
	case before.customer != 0 && before.customer != now.customer:
		next.spoil("an earlier line has this license_key, perhaps in other letters or hyphens, for another " +
			"customer_id; to Latchkey both are one license")
	case known && !r.update:
		next.spoil("an earlier line has this license_key; sort the file by license_key, or import it with --update")
	case next.size > maxSize:
		next.tooLarge(fmt.Sprintf("has %d devices and users, and at most %d come with a license",
			next.size-1, maxSize-1))
	case next.bytes > maxBytes:
		next.tooLarge(fmt.Sprintf("has %d bytes, and at most %d come with a license", next.bytes, maxBytes))
	}
	if now.refused == 0 && len(next.wrong) > 0 {
		now.refused = next.wrong[0].Line
	}
	r.seen[r.hash(next.same)] = now
}

// tooLarge refuses a license in its first line, for all of its lines.
func (r *row) tooLarge(what string) {
	r.others = r.others[:1]
	r.spoil("the license " + what + "; import the others from a file of their own, with --update")
}

func (r *run) hash(text string) uint64 { return maphash.String(r.seed, text) }

// sameKey tells whether two rows are about one license: a call takes only one of them.
func (r *row) sameKey(other *row) bool { return r.same == other.same }

// note reports a row that is not sent, line by line.
func (r *run) note(b *row) error {
	r.counts.refused++
	slices.SortStableFunc(b.wrong, func(a, b problem) int { return a.Line - b.Line })
	for _, p := range b.wrong {
		if err := r.refuse(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) send(ctx context.Context, batch []*row) error {
	if len(batch) == 0 {
		return nil
	}
	body := request{DryRun: r.dryRun, Existing: "keep"}
	if r.update {
		body.Existing = "update"
	}
	for _, b := range batch {
		body.Licenses = append(body.Licenses, b.members)
	}
	results, err := r.target.send(ctx, body)
	if err != nil {
		return fmt.Errorf("stopped at line %d: %w", batch[0].line, err)
	}
	for i := range results {
		if err := r.count(batch[i], &results[i]); err != nil {
			return err
		}
	}
	r.progress(r.counts)
	return nil
}

func (r *run) count(b *row, res *result) error {
	for _, d := range res.SkippedDevices {
		at := b.origin(fmt.Sprintf("devices[%d].hardware_id", d.Index))
		err := r.refuse(problem{Line: at.line, Column: at.column, Code: d.ErrorCode, Reason: d.Error})
		if err != nil {
			return err
		}
	}
	switch res.Outcome {
	case "created":
		r.counts.created++
		if p, _ := b.members["product"].(string); r.dryRun && p != "" && !r.known[p] {
			r.made[p] = true
		}
	case "updated":
		r.counts.updated++
	case "unchanged":
		r.counts.unchanged++
	case "differs":
		r.counts.differs++
		return r.refuse(problem{
			Line: b.line, Column: strings.Join(res.Changed, " "), Code: "DIFFERS",
			Reason: "the license is here and stays as it is; --update would change these",
		})
	default:
		return r.failed(b, res)
	}
	return nil
}

// failed notes each member that is wrong where it is in the file.
func (r *run) failed(b *row, res *result) error {
	r.counts.refused++
	before := r.seen[r.hash(b.same)]
	r.seen[r.hash(b.same)] = seen{b.line, before.customer}
	if len(res.Details.Fields) == 0 {
		return r.refuse(problem{Line: b.line, Code: res.ErrorCode, Reason: res.Error})
	}
	for at, reason := range res.Details.Fields {
		c := b.origin(at)
		if err := r.refuse(problem{Line: c.line, Column: c.column, Code: res.ErrorCode, Reason: reason}); err != nil {
			return err
		}
	}
	return nil
}

// rate is how many came in a time, a second.
func rate(n int, since time.Duration) float64 { return float64(n) / max(since.Seconds(), 0.001) }
