package manage

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// renewal is the body of renew.
type renewal struct {
	Days   *int          `json:"days"`
	Months *int          `json:"months"`
	Until  *jsonbody.End `json:"until"`
	From   string        `json:"from"`
}

func (r renewal) wanted() licensing.Renewal {
	return licensing.Renewal{Days: r.Days, Months: r.Months, Until: endOrNil(r.Until), From: r.From}
}

// suspension is the body of suspend.
type suspension struct {
	Reason string        `json:"reason"`
	Until  *jsonbody.End `json:"until"`
}

func (s suspension) wanted() licensing.NewSuspension {
	return licensing.NewSuspension{Reason: s.Reason, Until: endOrNil(s.Until)}
}

// conversion is the body of convert.
type conversion struct {
	Policy string `json:"policy" text:"identifier" empty:"no"`
	changedTerms
}

func (v *conversion) wanted() licensing.Conversion {
	return licensing.Conversion{Policy: v.Policy, TermsChange: v.change()}
}

// renewLicense moves the end of a license.
func (m *Manage) renewLicense(c *gin.Context) error {
	var in renewal
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	return m.alter(c, func(ctx context.Context, by *rpc.Actor) (licensing.License, error) {
		return m.Licenses.Renew(ctx, by, licenseID(c), in.wanted())
	})
}

// suspendLicense takes the use of a license away until it is reinstated.
func (m *Manage) suspendLicense(c *gin.Context) error {
	var in suspension
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	return m.alter(c, func(ctx context.Context, by *rpc.Actor) (licensing.License, error) {
		return m.Licenses.Suspend(ctx, by, licenseID(c), in.wanted())
	})
}

// reinstateLicense ends a suspension.
func (m *Manage) reinstateLicense(c *gin.Context) error {
	return m.alter(c, func(ctx context.Context, by *rpc.Actor) (licensing.License, error) {
		return m.Licenses.Reinstate(ctx, by, licenseID(c))
	})
}

// convertLicense makes a full license of a trial, with the terms that are sent.
func (m *Manage) convertLicense(c *gin.Context) error {
	var in conversion
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	return m.alter(c, func(ctx context.Context, by *rpc.Actor) (licensing.License, error) {
		return m.Licenses.Convert(ctx, by, licenseID(c), in.wanted())
	})
}

// alter answers a change of a license with the license after it.
func (m *Manage) alter(
	c *gin.Context, fn func(ctx context.Context, by *rpc.Actor) (licensing.License, error),
) error {
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (licenseBody, error) {
		l, err := fn(ctx, by)
		return newLicenseBody(&l, m.Clock.Now()), err
	})
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, body.Version, body)
}

func endOrNil(e *jsonbody.End) *licensing.End {
	if e == nil {
		return nil
	}
	end := endOf(*e)
	return &end
}

func endOf(e jsonbody.End) licensing.End { return licensing.End{At: e.Time, Day: e.Day} }
