package manage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/licenseimport"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

const (
	// maxImported is how many licenses, users and devices together one import may have.
	maxImported = 1000
	// importChunk is how many of them, and of counters that have counted, are one transaction: on SQLite, activations
	// wait for it.
	importChunk = 20
	// userSize is how many licenses a user weighs as much as.
	userSize = 3
)

// importRequest is the body of an import.
type importRequest struct {
	Licenses []jsonbody.Row[importedLicense] `json:"licenses" max:"1000"`
	// DryRun is true where it is left out.
	DryRun *bool `json:"dry_run"`
	// Existing is what becomes of licenses that are here: keep, or update.
	Existing string `json:"existing"`
}

type importResult struct {
	Index int `json:"index"`
	// LicenseID is null for a license that is not here.
	LicenseID *string `json:"license_id"`
	// Outcome is failed, or that of the import.
	Outcome licenseimport.Outcome `json:"outcome"`
	// Changed is never null.
	Changed []string `json:"changed"`
	// SkippedDevices are absent where there are none.
	SkippedDevices []skippedDevice `json:"skipped_devices,omitempty"`
	failure
}

// skippedDevice is a device that the row named and that got no seat.
type skippedDevice struct {
	// Index is its place in devices of the row.
	Index      int    `json:"index"`
	HardwareID string `json:"hardware_id"`
	ErrorCode  string `json:"error_code"`
	Error      string `json:"error"`
}

// failed is the outcome of a row that is refused.
const failed licenseimport.Outcome = "failed"

type importAnswer struct {
	DryRun  bool           `json:"dry_run"`
	Results []importResult `json:"results"`
	Total   int            `json:"total"`
	// The counts of the outcomes.
	Created   int `json:"created_count"`
	Updated   int `json:"updated_count"`
	Unchanged int `json:"unchanged_count"`
	Differs   int `json:"differs_count"`
	Failed    int `json:"failed_count"`
}

// errNoneImported keeps an answer that nothing came of from being kept for its Idempotency-Key: an import repeats
// itself without harm.
var errNoneImported = errors.New("no row of the import changed anything")

// importLicenses takes over licenses of another system, each standing alone.
func (m *Manage) importLicenses(c *gin.Context) error {
	var in importRequest
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	o := licenseimport.Options{DryRun: in.DryRun == nil || *in.DryRun, Update: in.Existing == "update"}
	answer := importAnswer{DryRun: o.DryRun, Results: []importResult{}, Total: len(in.Licenses)}
	if err := m.importChunks(c, in.rows(), o, &answer); err != nil {
		return err
	}
	status := http.StatusOK
	if answer.Failed > 0 {
		status = http.StatusMultiStatus
	}
	c.PureJSON(status, answer)
	return nil
}

// importChunks imports rows in chunks, each a transaction: others have their turn in between. A call that broke off is
// made again without harm.
func (m *Manage) importChunks(
	c *gin.Context, rows []importRow, o licenseimport.Options, answer *importAnswer,
) error {
	key, err := importKey(c, o)
	if err != nil {
		return err
	}
	fresh := false
	for n := 0; len(answer.Results) < len(rows); n++ {
		part := key
		if key.Key != "" {
			part = key.Part(n)
		}
		chunk := nextChunk(rows[len(answer.Results):])
		results, done, err := m.tryImport(c.Request.Context(), part, rpc.ActorOf(c), chunk, o)
		if err != nil {
			return brokenOff(err, len(answer.Results), len(rows))
		}
		fresh = fresh || done
		answer.add(results)
	}
	if fresh { // not all of it is a repeated answer
		c.Writer.Header().Del(httpx.HeaderReplayed)
	}
	return nil
}

// importKey is the Idempotency-Key of a call. What would happen may be asked as often as one likes.
func importKey(c *gin.Context, o licenseimport.Options) (idempotency.Key, error) {
	key, err := idempotency.KeyOf(c, rpc.ActorOf(c).GetId())
	if o.DryRun {
		key = idempotency.Key{}
	}
	return key, err
}

// nextChunk is the rows that make the next transaction, at least one.
func nextChunk(rows []importRow) []importRow {
	size := 0
	for i := range rows {
		if size += rows[i].size(); size > importChunk && i > 0 {
			return rows[:i]
		}
	}
	return rows
}

// tryImport imports a chunk; fresh tells that it was not done before.
func (m *Manage) tryImport(
	ctx context.Context, key idempotency.Key, by *rpc.Actor, rows []importRow, o licenseimport.Options,
) (results []importResult, fresh bool, err error) {
	for range chunkTries {
		var tried []importResult
		results, err = idempotency.Do(ctx, m.Idempotency, key, func(ctx context.Context) ([]importResult, error) {
			fresh = true
			if tried, err = m.importRows(ctx, by, rows, o); err == nil && !anyWritten(tried) {
				err = errNoneImported
			}
			return tried, err
		})
		if errors.Is(err, errNoneImported) {
			return tried, true, nil
		}
		if !errors.Is(err, apierr.ErrUnavailable) || ctx.Err() != nil {
			break
		}
	}
	return results, fresh, err
}

func anyWritten(results []importResult) bool {
	return slices.ContainsFunc(results, func(r importResult) bool {
		return r.Outcome == licenseimport.Created || r.Outcome == licenseimport.Updated
	})
}

func (r *importRequest) check() error {
	bad := apierr.Fields{}
	if len(r.Licenses) == 0 {
		bad.Add("licenses", "must have at least one entry")
	}
	n := len(r.Licenses)
	for i := range r.Licenses {
		n += len(r.Licenses[i].Value.Users) + len(r.Licenses[i].Value.Devices)
	}
	if n > maxImported {
		bad.Add("licenses", fmt.Sprintf("have %d licenses, users and devices together; send at most %d in a call",
			n, maxImported))
	}
	if r.Existing != "" {
		bad.OneOf("existing", r.Existing, "keep", "update")
	}
	return bad.Err()
}

// rows are the rows of a call, each with what is wrong with it.
func (r *importRequest) rows() []importRow {
	rows, seen := make([]importRow, len(r.Licenses)), map[string]bool{}
	for i := range r.Licenses {
		rows[i] = importRow{index: i, refusal: r.Licenses[i].Err(), license: &r.Licenses[i].Value}
		if rows[i].refusal == nil {
			rows[i].refusal = rows[i].license.check()
		}
		key := licensing.NormalizeKey(rows[i].license.LicenseKey)
		if rows[i].refusal == nil && seen[key] {
			rows[i].refusal = apierr.InvalidField("license_key",
				"an earlier row of the call has it; send one row for a license")
		}
		seen[key] = true // of a row that is refused, too: the terms may stand in it
	}
	return rows
}

// importRow is a row of a call.
type importRow struct {
	index   int
	license *importedLicense
	// refusal is not nil for a row that cannot be meant so.
	refusal error
}

// size is what a row adds to a transaction, in licenses: a user takes several statements, and so does what a counter
// has counted, while devices are written together.
func (r *importRow) size() int {
	return 1 + userSize*len(r.license.Users) + len(r.license.Devices) + len(r.license.Used)
}

// importRows hands the rows of the right shape to the rules and answers all of them, in their order.
func (m *Manage) importRows(
	ctx context.Context, by *rpc.Actor, rows []importRow, o licenseimport.Options,
) ([]importResult, error) {
	var wanted []licenseimport.Row
	for i := range rows {
		if rows[i].refusal == nil {
			wanted = append(wanted, rows[i].license.row())
		}
	}
	done, err := m.Imports.Run(ctx, by, wanted, o)
	if err != nil {
		return nil, err
	}
	results, next := make([]importResult, len(rows)), 0
	for i := range rows {
		result := licenseimport.Result{Refusal: rows[i].refusal}
		if rows[i].refusal == nil {
			result = done[next]
			next++
		}
		results[i] = newImportResult(rows[i].index, result, o.DryRun)
	}
	return results, nil
}

func newImportResult(index int, r licenseimport.Result, dryRun bool) importResult {
	body := importResult{
		Index: index, Outcome: r.Outcome, Changed: append([]string{}, r.Changed...), failure: newFailure(r.Refusal),
	}
	if r.LicenseID != "" && !(dryRun && r.Outcome == licenseimport.Created) {
		body.LicenseID = &r.LicenseID
	}
	for _, d := range r.Skipped {
		body.SkippedDevices = append(body.SkippedDevices, skippedDevice{
			d.Index, d.HardwareID, licensing.ErrBlocked.Code, "the device is blocked, so it gets no seat: " + d.Reason,
		})
	}
	if r.Refusal != nil {
		body.Outcome = failed
	}
	return body
}

func (a *importAnswer) add(results []importResult) {
	counts := map[licenseimport.Outcome]*int{
		licenseimport.Created: &a.Created, licenseimport.Updated: &a.Updated, failed: &a.Failed,
		licenseimport.Unchanged: &a.Unchanged, licenseimport.Differs: &a.Differs,
	}
	for i := range results {
		*counts[results[i].Outcome]++
	}
	a.Results = append(a.Results, results...)
}
