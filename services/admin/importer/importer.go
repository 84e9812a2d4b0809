// Package importer is the command that takes over licenses from a file: it reads what another system exported, and has
// the admin API import it, so that roles, the audit log and replicas hold, from any machine. A file whose import broke
// off is imported again: what is there already stays as it is.
package importer

import (
	"cmp"
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

// job is one import.
type job struct {
	options
	target target
	reader *reader
	// open reads the file from its beginning.
	open   func() (*reader, error)
	refuse func(problem) error
	// progress is called after each call.
	progress func(counts)
	counts   counts
	// seen is what earlier lines said of licenses, by the hashes of their keys.
	seen map[uint64]earlier
	// refusedLines are the lines for which nothing is made of a license, wherever its other lines are.
	refusedLines map[uint64]int
	// known are the products that there are, made those that a dry run finds missing.
	known, made map[string]bool
	seed        maphash.Seed
}

// earlier is what is remembered of a license that the file named.
type earlier struct {
	// refusedLine is a line of it that was refused, 0 for none.
	refusedLine int
	// customer is the hash of its customer_id, 0 for none.
	customer uint64
}

// counts are how many licenses there were of each outcome; refused counts lines that are no license, too.
type counts struct {
	created, updated, unchanged, differs, refused int
}

func (c counts) all() int { return c.created + c.updated + c.unchanged + c.differs + c.refused }

// all imports a file. Each call is a whole: an import that broke off is made again and goes on where it was.
func (j *job) all(ctx context.Context) error {
	j.seed, j.made = maphash.MakeSeed(), map[string]bool{}
	if err := j.lookAhead(ctx); err != nil {
		return err
	}
	if j.dryRun {
		known, err := j.target.products(ctx)
		if err != nil {
			return err
		}
		j.known = known
	}
	var b batch
	for {
		next, err := j.reader.read()
		if errors.Is(err, io.EOF) {
			return j.send(ctx, b.rows)
		}
		if err != nil {
			return err
		}
		j.complete(next)
		if !b.takes(next) {
			if err := j.send(ctx, b.rows); err != nil {
				return err
			}
			b = batch{}
		}
		if j.check(next); len(next.wrong) > 0 {
			if err := j.note(next); err != nil {
				return err
			}
			continue
		}
		b.add(next)
	}
}

// lookAhead reads the file once to find the licenses of which a line is refused: it may be far below their others.
func (j *job) lookAhead(ctx context.Context) error {
	j.seen = map[uint64]earlier{}
	for {
		next, err := j.reader.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		j.complete(next)
		j.check(next)
	}
	j.refusedLines = map[uint64]int{}
	for key, e := range j.seen {
		if e.refusedLine > 0 {
			j.refusedLines[key] = e.refusedLine
		}
	}
	j.seen = map[uint64]earlier{}
	var err error
	j.reader, err = j.open()
	return err
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
func (j *job) complete(next *row) {
	for name, value := range map[string]string{"product": j.product, "customer_id": j.customer} {
		if _, given := next.members[name]; !given && value != "" {
			next.members[name] = value
		}
	}
	text, _ := json.Marshal(next.members) // were read from text
	next.bytes = len(text)
}

// check refuses a license that is too large for a call, and a key that an earlier line had. Where licenses are updated,
// a key may come again, unless the line was refused or is about another customer.
func (j *job) check(next *row) {
	if next.same == "" {
		return
	}
	key := j.hash(next.same)
	before, known := j.seen[key]
	now := before
	if customer, given := next.members["customer_id"].(string); given {
		now.customer = j.hash(customer)
	}
	switch {
	case before.refusedLine > 0:
		next.spoilBy(before.refusedLine)
	case len(next.wrong) > 0:
		next.spoilBy(next.wrong[0].Line)
	case before.customer != 0 && before.customer != now.customer:
		next.spoil("an earlier line has this license_key, perhaps in other letters or hyphens, for another " +
			"customer_id; to Latchkey both are one license")
	case known && !j.update:
		next.spoil("an earlier line has this license_key; sort the file by license_key, or import it with --update")
	case next.size > maxSize:
		next.tooLarge(fmt.Sprintf("has %d devices and users, and at most %d come with a license",
			next.size-1, maxSize-1))
	case next.bytes > maxBytes:
		next.tooLarge(fmt.Sprintf("has %d bytes, and at most %d come with a license", next.bytes, maxBytes))
	}
	if now.refusedLine == 0 && len(next.wrong) > 0 {
		now.refusedLine = next.wrong[0].Line
	}
	j.seen[key] = now
	if line := j.refusedLines[key]; line > 0 && len(next.wrong) == 0 {
		next.spoilBy(line)
	}
}

// tooLarge refuses a license in its first line, for all of its lines.
func (r *row) tooLarge(what string) {
	r.others = r.others[:1]
	r.spoil("the license " + what + "; import the others from a file of their own, with --update")
}

func (j *job) hash(text string) uint64 { return maphash.String(j.seed, text) }

// sameKey reports whether two rows are about one license: a call takes only one of them.
func (r *row) sameKey(other *row) bool { return r.same == other.same }

// note reports a row that is not sent, line by line.
func (j *job) note(r *row) error {
	j.counts.refused++
	slices.SortStableFunc(r.wrong, func(a, b problem) int { return a.Line - b.Line })
	for _, p := range r.wrong {
		if err := j.refuse(p); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) send(ctx context.Context, rows []*row) error {
	if len(rows) == 0 {
		return nil
	}
	body := request{DryRun: j.dryRun, Existing: "keep"}
	if j.update {
		body.Existing = "update"
	}
	for _, r := range rows {
		body.Licenses = append(body.Licenses, r.members)
	}
	results, err := j.target.send(ctx, body)
	if err != nil {
		return fmt.Errorf("stopped at line %d: %w", rows[0].line, err)
	}
	for i := range results {
		if err := j.count(rows[i], &results[i]); err != nil {
			return err
		}
	}
	j.progress(j.counts)
	return nil
}

func (j *job) count(r *row, res *result) error {
	for _, d := range res.SkippedDevices {
		at := r.origin(fmt.Sprintf("devices[%d].hardware_id", d.Index))
		err := j.refuse(problem{Line: at.line, Column: at.column, Code: d.ErrorCode, Reason: d.Error})
		if err != nil {
			return err
		}
	}
	switch res.Outcome {
	case "created":
		j.counts.created++
		if p, _ := r.members["product"].(string); j.dryRun && p != "" && !j.known[p] {
			j.made[p] = true
		}
	case "updated":
		j.counts.updated++
	case "unchanged":
		j.counts.unchanged++
	case "differs":
		j.counts.differs++
		return j.refuse(problem{
			Line: r.line, Column: strings.Join(res.Changed, " "), Code: "DIFFERS",
			Reason: "the license is here and stays as it is; --update would change these",
		})
	default:
		return j.failed(r, res)
	}
	return nil
}

// failed notes each member that is wrong where it is in the file.
func (j *job) failed(r *row, res *result) error {
	j.counts.refused++
	before := j.seen[j.hash(r.same)]
	j.seen[j.hash(r.same)] = earlier{r.line, before.customer}
	if len(res.Details.Fields) == 0 {
		return j.refuse(problem{Line: r.line, Code: res.ErrorCode, Reason: res.Error})
	}
	for at, reason := range res.Details.Fields {
		c := r.origin(at)
		if err := j.refuse(problem{Line: c.line, Column: c.column, Code: res.ErrorCode, Reason: reason}); err != nil {
			return err
		}
	}
	return nil
}

// rate is how many came per second.
func rate(n int, since time.Duration) float64 { return float64(n) / max(since.Seconds(), 0.001) }
