package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

type createdRow struct {
	Index int32 `json:"index"`
	licenseBody
}

type failedRow struct {
	Index     int32  `json:"index"`
	Error     string `json:"error"`
	ErrorCode string `json:"error_code"`
	// Details is always an object.
	Details json.RawMessage `json:"details"`
}

type bulkBody struct {
	Created      []createdRow `json:"created"`
	Failed       []failedRow  `json:"failed"`
	Total        int          `json:"total"`
	CreatedCount int          `json:"created_count"`
	FailedCount  int          `json:"failed_count"`
}

// bulkCreateLicenses creates many licenses, each standing alone: a row with wrong types or text fails and the others are created.
func (a *API) bulkCreateLicenses(c *gin.Context) error {
	rows, err := bulkRows(c)
	if err != nil {
		return err
	}
	req, failed, err := bulkRequest(c, rows)
	if err != nil {
		return err
	}
	res := &licensev1.BulkCreateLicensesResponse{}
	if len(req.GetRows()) > 0 {
		ctx := rpc.Within(c.Request.Context(), bulkTime)
		answer, err := a.Licenses.BulkCreateLicenses(ctx, connect.NewRequest(req))
		if err != nil {
			return err
		}
		res = answer.Msg
	}
	body := newBulkBody(res, failed)
	status := http.StatusCreated
	if body.FailedCount > 0 {
		status = http.StatusMultiStatus
	}
	c.JSON(status, body)
	return nil
}

// bulkRows reads the rows, each with what is wrong with it.
func bulkRows(c *gin.Context) ([]httpx.Row[newLicense], error) {
	var in struct {
		Licenses []httpx.Row[newLicense] `json:"licenses" max:"1000"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return nil, err
	}
	if len(in.Licenses) == 0 {
		return nil, apierr.InvalidField("licenses", "must have at least one entry")
	}
	return in.Licenses, nil
}

// bulkRequest keeps the rows of the right shape for the license service; the others have failed already.
func bulkRequest(c *gin.Context, rows []httpx.Row[newLicense]) (*licensev1.BulkCreateLicensesRequest, []failedRow, error) {
	idem, err := idempotencyKey(c)
	if err != nil {
		return nil, nil, err
	}
	req := &licensev1.BulkCreateLicensesRequest{
		Actor:          actor(c).Message(),
		IdempotencyKey: forwarded(idem),
		BodySha256:     idem.Request[:],
	}
	var failed []failedRow
	for i := range rows {
		if err := rows[i].Err(); err != nil {
			failed = append(failed, misshapen(i, err))
			continue
		}
		req.Rows = append(req.Rows, &licensev1.BulkRow{Index: int32(i), License: rows[i].Value.message()})
	}
	return req, failed, nil
}

// misshapen is the answer to a row of the wrong shape.
func misshapen(index int, err error) failedRow {
	e := apierr.From(err)
	details, err := json.Marshal(e.Details)
	if err != nil || e.Details == nil {
		details = []byte("{}")
	}
	return failedRow{Index: int32(index), Error: e.Message, ErrorCode: e.Code, Details: details}
}

// newBulkBody joins what the license service answered with the rows that it never saw, in the order of the request.
func newBulkBody(res *licensev1.BulkCreateLicensesResponse, failed []failedRow) bulkBody {
	body := bulkBody{Created: []createdRow{}, Failed: notNil(failed)}
	for _, r := range res.GetCreated() {
		body.Created = append(body.Created, createdRow{Index: r.GetIndex(), licenseBody: withKey(r.GetLicense(), r.GetLicenseKey())})
	}
	for _, r := range res.GetFailed() {
		e := r.GetError()
		body.Failed = append(body.Failed, failedRow{
			Index:     r.GetIndex(),
			Error:     e.GetMessage(),
			ErrorCode: e.GetCode(),
			Details:   object(e.GetDetailsJson()),
		})
	}
	slices.SortFunc(body.Created, func(x, y createdRow) int { return cmp.Compare(x.Index, y.Index) })
	slices.SortFunc(body.Failed, func(x, y failedRow) int { return cmp.Compare(x.Index, y.Index) })
	body.CreatedCount, body.FailedCount = len(body.Created), len(body.Failed)
	body.Total = body.CreatedCount + body.FailedCount
	return body
}
