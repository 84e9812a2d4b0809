package licensespring

import (
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// borrowedBody is the answer to a borrowing.
type borrowedBody struct {
	BorrowedUntil *string `json:"borrowed_until"`
	MaxBorrowTime int     `json:"max_borrow_time"`
	DeviceID      int64   `json:"device_id"`
	LicenseID     int64   `json:"license_id"`
	Company       company `json:"company"`
}

func (d *Dialect) borrow(c *gin.Context, s *subject) error {
	return d.borrowAs(c, s, lease.Request{Client: s.client})
}

func (d *Dialect) borrowFeature(c *gin.Context, s *subject) error {
	if s.sent.Feature == "" {
		return missing("feature")
	}
	return d.borrowAs(c, s, s.featureLease())
}

func (d *Dialect) borrowAs(c *gin.Context, s *subject, r lease.Request) error {
	ctx := c.Request.Context()
	var err error
	if r.BorrowUntil, err = s.borrowUntil(d.Clock.Now()); err != nil {
		return err
	}
	g, err := d.Leases.CheckOut(ctx, s.key, r)
	if err != nil {
		return err
	}
	deviceID, err := d.deviceID(ctx, s)
	if err != nil {
		return err
	}
	n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{License: s.ID, Device: deviceID})
	if err != nil {
		return err
	}
	b := borrowedBody{
		BorrowedUntil: stamp(g.Lease.BorrowedUntil),
		DeviceID:      n.Device,
		LicenseID:     n.License,
		Company:       company{companyID},
	}
	if s.Floating != nil {
		b.MaxBorrowTime = s.Floating.BorrowMaxHours
	}
	return d.answer(c, b)
}

// borrowUntil is what the client asks for, or as long as the license allows. A margin is left for the clock of the
// database, which decides.
func (s *subject) borrowUntil(now time.Time) (licensing.End, error) {
	if text := s.sent.BorrowedUntil; text != "" {
		end, ok := jsonbody.ParseEnd(text)
		if !ok {
			end, ok = jsonbody.ParseEnd(text + "Z") // some languages print times of UTC without their zone
		}
		if !ok || end.IsZero() {
			return licensing.End{}, errBorrowUntil
		}
		return licensing.End{At: end.Time, Day: end.Day}, nil
	}
	hours := 1 // of a license that allows none, which the verdict says
	if s.Floating != nil && s.Floating.BorrowMaxHours > 0 {
		hours = s.Floating.BorrowMaxHours
	}
	return licensing.End{At: now.Add(time.Duration(hours)*time.Hour - clockMargin)}, nil
}

// clockMargin is how far the clock of the database may be behind ours.
const clockMargin = 5 * time.Second

func (d *Dialect) release(c *gin.Context, s *subject) error {
	if err := d.Leases.ReleaseHeld(c.Request.Context(), s.ID, s.client); err != nil {
		return err
	}
	return word(c, "license_released")
}

func (d *Dialect) releaseFeature(c *gin.Context, s *subject) error {
	if s.sent.Feature == "" {
		return missing("feature")
	}
	if err := d.Leases.ReleaseHeld(c.Request.Context(), s.ID, s.featureLease().Client); err != nil {
		return err
	}
	return word(c, "feature_released")
}
