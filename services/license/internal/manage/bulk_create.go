package manage

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

type createdRow struct {
	Index int `json:"index"`
	licenseBody
}

type failedRow struct {
	Index     int            `json:"index"`
	Error     string         `json:"error"`
	ErrorCode string         `json:"error_code"`
	Details   map[string]any `json:"details"`
}

type bulkBody struct {
	Created      []createdRow `json:"created"`
	Failed       []failedRow  `json:"failed"`
	Total        int          `json:"total"`
	CreatedCount int          `json:"created_count"`
	FailedCount  int          `json:"failed_count"`
}

// errNoneCreated keeps an answer of refusals alone from being kept for its Idempotency-Key: their cause may be gone by
// the next call.
var errNoneCreated = errors.New("no row became a license")

// bulkCreateLicenses creates many licenses, each standing alone: a row with wrong types or text fails and the others
// are created.
func (m *Manage) bulkCreateLicenses(c *gin.Context) error {
	var in struct {
		Licenses []jsonbody.Row[newLicense] `json:"licenses" max:"1000"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	if len(in.Licenses) == 0 {
		return apierr.InvalidField("licenses", "must have at least one entry")
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (bulkBody, error) {
		body, err := m.createRows(ctx, by, in.Licenses)
		if err == nil && body.CreatedCount == 0 {
			err = errNoneCreated
		}
		return body, err
	})
	if err != nil && !errors.Is(err, errNoneCreated) {
		return err
	}
	status := http.StatusCreated
	if body.FailedCount > 0 {
		status = http.StatusMultiStatus
	}
	c.PureJSON(status, body)
	return nil
}

// createRows hands the rows of the right shape to the rules and answers all of them, in their order.
func (m *Manage) createRows(ctx context.Context, by *rpc.Actor, rows []jsonbody.Row[newLicense]) (bulkBody, error) {
	var wanted []licensing.NewLicense
	for i := range rows {
		if rows[i].Err() == nil {
			wanted = append(wanted, rows[i].Value.wanted())
		}
	}
	made, refusals, err := m.Licenses.CreateMany(ctx, by, wanted)
	if err != nil {
		return bulkBody{}, err
	}
	body := bulkBody{Created: []createdRow{}, Failed: []failedRow{}, Total: len(rows)}
	next := 0
	for i := range rows {
		refusal := rows[i].Err()
		if refusal == nil {
			if refusal = refusals[next]; refusal == nil {
				body.Created = append(body.Created, createdRow{i, newCreatedBody(&made[next], m.Clock.Now())})
			}
			next++
		}
		if refusal != nil {
			f := newFailure(refusal)
			body.Failed = append(body.Failed, failedRow{i, *f.Error, *f.ErrorCode, f.Details})
		}
	}
	body.CreatedCount, body.FailedCount = len(body.Created), len(body.Failed)
	return body, nil
}
