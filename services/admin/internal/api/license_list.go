package api

import (
	"net/http"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

type licensesBody struct {
	Licenses []licenseBody `json:"licenses"`
	page
}

func (a *API) listLicenses(c *gin.Context) error {
	p, err := queryPage(c)
	if err != nil {
		return err
	}
	req, err := licenseFilter(c)
	if err != nil {
		return err
	}
	if req.LicenseKey != nil {
		req.Actor = actor(c).Message() // the audit log notes who searches by key
	}
	req.Page, req.PerPage = int32(p.Page), int32(p.PerPage)
	return a.answerList(c, p, req)
}

// searchLicenses finds a license by its key, which stays out of URLs and logs. The audit log notes who asked.
func (a *API) searchLicenses(c *gin.Context) error {
	var in struct {
		LicenseKey string `json:"license_key" text:"key"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	bad := httpx.Fields{}
	bad.Require("license_key", in.LicenseKey)
	bad.MaxLen("license_key", in.LicenseKey, maxText)
	if err := bad.Err(); err != nil {
		return err
	}
	p := page{Page: 1, PerPage: 50}
	return a.answerList(c, p, &licensev1.ListLicensesRequest{
		Actor:      actor(c).Message(),
		LicenseKey: &in.LicenseKey,
		Page:       int32(p.Page),
		PerPage:    int32(p.PerPage),
	})
}

func (a *API) answerList(c *gin.Context, p page, req *licensev1.ListLicensesRequest) error {
	res, err := a.Licenses.ListLicenses(c.Request.Context(), connect.NewRequest(req))
	if err != nil {
		return err
	}
	body := licensesBody{Licenses: []licenseBody{}, page: p.of(int(res.Msg.GetTotal()))}
	for _, l := range res.Msg.GetLicenses() {
		body.Licenses = append(body.Licenses, newLicenseBody(l))
	}
	c.JSON(http.StatusOK, body)
	return nil
}

// queryStatus reads the filter by status; an absent one is nil.
func queryStatus(c *gin.Context) (*string, error) {
	status, err := httpx.QueryText(c, "status", maxText)
	if status == "" || err != nil {
		return nil, err
	}
	bad := httpx.Fields{}
	bad.OneOf("status", status, "active", "expired", "inactive")
	return &status, bad.Err()
}

// licenseFilter reads the filters.
func licenseFilter(c *gin.Context) (*licensev1.ListLicensesRequest, error) {
	req := &licensev1.ListLicensesRequest{}
	customer, err := httpx.QueryIdentifier(c, "customer_id", maxText)
	if err != nil {
		return nil, err
	}
	req.CustomerId = text(customer)
	for name, filter := range map[string]**string{"hardware_id": &req.HardwareId, "license_key": &req.LicenseKey} {
		value, err := httpx.QueryIdentifier(c, name, maxText)
		if err != nil {
			return nil, err
		}
		*filter = text(value)
	}
	if req.Status, err = queryStatus(c); err != nil {
		return nil, err
	}
	if req.IsActive, err = httpx.QueryBool(c, "is_active"); err != nil {
		return nil, err
	}
	if req.IsTest, err = httpx.QueryBool(c, "is_test"); err != nil {
		return nil, err
	}
	for name, bound := range map[string]**timestamppb.Timestamp{
		"created_after":  &req.CreatedAfter,
		"created_before": &req.CreatedBefore,
		"expires_after":  &req.ExpiresAfter,
		"expires_before": &req.ExpiresBefore,
	} {
		at, err := httpx.QueryTime(c, name)
		if err != nil {
			return nil, err
		}
		if at != nil {
			*bound = timestamppb.New(*at)
		}
	}
	return req, nil
}
