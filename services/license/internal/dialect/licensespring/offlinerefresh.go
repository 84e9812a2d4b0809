package licensespring

import (
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// refreshFile is what an application keeps as license_refresh.lic, in base64. Unlike in the answer to an activation
// license_signature_v2 covers license_signature, too.
type refreshFile struct {
	offlineBody        `json:",inline"`
	LicenseSignature   string `json:"license_signature"`
	LicenseSignatureV2 string `json:"license_signature_v2,omitzero"`
}

// refreshOffline shows the license as it is now to a device that was activated by the same request, or another. Where
// the license lasts longer than before, so does the hold on the seat. The documentation has no call for it, and makes
// these files by hand.
func (d *Dialect) refreshOffline(c *gin.Context, o *offlineCall) error {
	if err := o.hasOfflineType(); err != nil {
		return err
	}
	ctx := c.Request.Context()
	key, err := d.Responses.Key(ctx, integration.LicenseSpring)
	if err != nil {
		return err
	}
	v, err := d.Seats.Validate(ctx, o.subject.key, o.client)
	switch {
	case err != nil:
		return err
	case !v.Valid:
		return licensing.ErrNotActivated
	}
	caller, err := d.Seats.Caller(ctx, o.ID, &o.client)
	if err != nil {
		return err
	}
	device, err := d.Seats.SeatOffline(ctx, o.ID, caller, offlineKID)
	if err != nil {
		return err
	}
	all, err := d.views(ctx, o.subject, key, device.ID)
	if err != nil {
		return err
	}
	answer, err := o.answer(all[0], key, d.Clock.Now())
	if err != nil {
		return err
	}
	file := refreshFile{offlineBody: answer.offlineBody, LicenseSignature: answer.LicenseSignature}
	if file.LicenseSignatureV2, err = signed(key, printed(file)); err != nil {
		return err
	}
	return answerWith(c, key, printed(file))
}
