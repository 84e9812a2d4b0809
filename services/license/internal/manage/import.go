package manage

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/licenseimport"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// maxImported is how many licenses, users and devices together one import may have: they are one transaction, for which
// activations on SQLite wait.
const maxImported = 1000

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
	// Changed and Details are never null.
	Changed   []string       `json:"changed"`
	ErrorCode *string        `json:"error_code"`
	Error     *string        `json:"error"`
	Details   map[string]any `json:"details"`
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
	run := func(ctx context.Context, by *rpc.Actor) (importAnswer, error) {
		answer, err := m.importRows(ctx, by, in.Licenses, o)
		if err == nil && answer.Created+answer.Updated == 0 {
			err = errNoneImported
		}
		return answer, err
	}
	var answer importAnswer
	var err error
	if o.DryRun { // asking what would happen may be repeated as often as one likes
		answer, err = run(c.Request.Context(), rpc.ActorOf(c))
	} else {
		answer, err = change(m, c, run)
	}
	if err != nil && !errors.Is(err, errNoneImported) {
		return err
	}
	status := http.StatusOK
	if answer.Failed > 0 {
		status = http.StatusMultiStatus
	}
	c.PureJSON(status, answer)
	return nil
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

// importRows hands the rows of the right shape to the rules and answers all of them, in their order.
func (m *Manage) importRows(
	ctx context.Context, by *rpc.Actor, rows []jsonbody.Row[importedLicense], o licenseimport.Options,
) (importAnswer, error) {
	refusals := make([]error, len(rows))
	var wanted []licenseimport.Row
	for i := range rows {
		if refusals[i] = rows[i].Err(); refusals[i] == nil {
			refusals[i] = rows[i].Value.check()
		}
		if refusals[i] == nil {
			wanted = append(wanted, rows[i].Value.row())
		}
	}
	done, err := m.Imports.Run(ctx, by, wanted, o)
	if err != nil {
		return importAnswer{}, err
	}
	answer := importAnswer{DryRun: o.DryRun, Results: make([]importResult, len(rows)), Total: len(rows)}
	next := 0
	for i := range rows {
		result := licenseimport.Result{Refusal: refusals[i]}
		if refusals[i] == nil {
			result = done[next]
			next++
		}
		answer.add(i, result)
	}
	return answer, nil
}

func (a *importAnswer) add(index int, r licenseimport.Result) {
	body := importResult{
		Index: index, Outcome: r.Outcome, Changed: append([]string{}, r.Changed...), Details: map[string]any{},
	}
	if r.LicenseID != "" && !(a.DryRun && r.Outcome == licenseimport.Created) {
		body.LicenseID = &r.LicenseID
	}
	if r.Refusal != nil {
		e := apierr.From(wire.Refusal(r.Refusal))
		body.Outcome, body.ErrorCode, body.Error = failed, &e.Code, &e.Message
		if e.Details != nil {
			body.Details = e.Details
		}
	}
	counts := map[licenseimport.Outcome]*int{
		licenseimport.Created: &a.Created, licenseimport.Updated: &a.Updated, failed: &a.Failed,
		licenseimport.Unchanged: &a.Unchanged, licenseimport.Differs: &a.Differs,
	}
	*counts[body.Outcome]++
	a.Results[index] = body
}
