package licensespring

import (
	"context"
	"errors"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// activationBody is the answer to an activation.
type activationBody struct {
	licenseBody      `json:",inline"`
	Active           bool      `json:"active"`
	DeviceID         int64     `json:"device_id"`
	IsExpired        bool      `json:"is_expired"`
	FloatingInUse    *int      `json:"floating_in_use,omitzero"`
	InstallationFile *struct{} `json:"installation_file"`
	LicenseSignature string    `json:"license_signature"`
}

// checkBody is the answer to a check.
type checkBody struct {
	licenseBody          `json:",inline"`
	LicenseActive        bool    `json:"license_active"`
	LicenseEnabled       bool    `json:"license_enabled"`
	IsExpired            bool    `json:"is_expired"`
	IsBorrowed           bool    `json:"is_borrowed"`
	BorrowedUntil        *string `json:"borrowed_until"`
	FloatingInUseDevices *int    `json:"floating_in_use_devices,omitzero"`
	DeviceID             int64   `json:"device_id"`
	*latestVersion       `json:",inline"`
	LicenseSignature     string `json:"license_signature"`
}

// activate gives the device a seat. One that has its seat gets the same answer: clients repeat activations.
func (d *Dialect) activate(c *gin.Context, s *subject) error {
	ctx := c.Request.Context()
	if s.LeaseIsSeat() {
		return d.activateByLease(c, s)
	}
	if len(s.sent.Variables) > 0 {
		s.client.Variables = s.sent.Variables
	}
	s.client.Repeats = true
	made, err := d.Seats.Activate(ctx, s.key, s.client)
	deviceID := made.Device.ID
	if errors.Is(err, licensing.ErrActivated) {
		deviceID, err = d.activatedBefore(ctx, s, err)
	}
	if err != nil {
		return err
	}
	return d.answerActivation(c, s, deviceID, nil)
}

// activatedBefore is the device that has its seat already; its variables are set nevertheless.
func (d *Dialect) activatedBefore(ctx context.Context, s *subject, err error) (deviceID string, _ error) {
	var refused *licensing.RefusedError
	if !errors.As(err, &refused) || refused.Device == nil {
		return "", err
	}
	if s.client.Variables != nil {
		if _, err := d.Seats.SetVariables(ctx, s.key, s.client, s.client.Variables); err != nil {
			return "", err
		}
	}
	return refused.Device.ID, nil
}

// activateByLease takes a slot of a license whose devices need no seat beside it.
func (d *Dialect) activateByLease(c *gin.Context, s *subject) error {
	g, err := d.Leases.CheckOut(c.Request.Context(), s.key, lease.Request{Client: s.client})
	if err != nil {
		return err
	}
	return d.answerActivation(c, s, "", &g.Slots.InUse)
}

func (d *Dialect) answerActivation(c *gin.Context, s *subject, deviceID string, inUse *int) error {
	return d.answerLicense(c, s, deviceID, func(v view) (any, error) {
		return activationBody{
			licenseBody:      v.licenseBody,
			Active:           true,
			DeviceID:         v.deviceID,
			FloatingInUse:    inUse,
			LicenseSignature: v.signature,
		}, nil
	})
}

// view is what answers about a license have in common.
type view struct {
	licenseBody
	product   catalog.Product
	deviceID  int64
	signature string
}

// answerLicense answers with the license as it is now, in the form that show gives it. Of a bundle it answers with that
// for each of the products.
func (d *Dialect) answerLicense(c *gin.Context, s *subject, deviceID string, show func(view) (any, error)) error {
	ctx := c.Request.Context()
	key, err := d.Responses.Key(ctx, integration.LicenseSpring)
	if err != nil {
		return err
	}
	all, err := d.views(ctx, s, key, deviceID)
	if err != nil {
		return err
	}
	list := make([]any, len(all))
	for i, v := range all {
		if list[i], err = show(v); err != nil {
			return err
		}
	}
	if !s.wholeBundle {
		return answerWith(c, key, printed(list[0]))
	}
	return answerWith(c, key, printed(list))
}

// views are the license as it is now: one or, for a call about a whole bundle, one for each of its products.
func (d *Dialect) views(
	ctx context.Context, s *subject, key *integration.ResponseKey, deviceID string,
) ([]view, error) {
	b, f, err := d.licenseNow(ctx, s, deviceID)
	if err != nil {
		return nil, err
	}
	signature, err := s.signature(key, b.ValidityPeriod)
	if err != nil {
		return nil, err
	}
	v := view{licenseBody: b, product: s.product, deviceID: f.numbers.Device, signature: signature}
	if !s.wholeBundle {
		return []view{v}, nil
	}
	products, err := d.products(ctx, s)
	all := make([]view, len(products))
	for i, p := range products {
		n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{Product: p.Code})
		if err != nil {
			return nil, err
		}
		v.product, v.ProductDetails = p, newProduct(p, n.Product)
		all[i] = v
	}
	return all, err
}

// licenseNow is the license of a call as it is now, which is another than before an activation.
func (d *Dialect) licenseNow(ctx context.Context, s *subject, deviceID string) (licenseBody, facts, error) {
	l, err := d.Licenses.Find(ctx, s.ID)
	if err != nil {
		return licenseBody{}, facts{}, err
	}
	f, err := d.facts(ctx, s.reader, &l, s.product, deviceID)
	f.expired = s.sent.IncludeExpired
	if s.user == nil || err != nil {
		return newLicense(&l, s.sent.LicenseKey, f, d.Clock.Now()), f, err
	}
	n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{User: s.user.ID})
	b := newLicense(&l, "", f, d.Clock.Now())
	b.User = newUser(s.user, n.User)
	return b, f, err
}

// signature is license_signature of an answer.
func (s *subject) signature(key *integration.ResponseKey, validity *string) (string, error) {
	return signed(key, licenseText(s.sent.HardwareID, s.signedID(), validity))
}

// check reports whether the device may run the software. Of a floating license it takes a slot, or keeps the one that
// the device has.
func (d *Dialect) check(c *gin.Context, s *subject) error {
	ctx := c.Request.Context()
	var grant *lease.Grant
	if s.Floating != nil {
		g, err := d.slot(c, s, lease.Request{Client: s.client})
		if err != nil {
			return err
		}
		grant = g
	}
	v, err := d.Seats.Validate(ctx, s.key, s.client)
	switch {
	case err != nil:
		return err
	case !v.Valid:
		return licensing.ErrNotActivated
	}
	deviceID, err := d.deviceID(ctx, s)
	if err != nil {
		return err
	}
	return d.answerCheck(c, s, deviceID, grant)
}

// slot takes a slot, or keeps the one that the device has. An integration that changes nothing can only look whether
// the device has one: nil then.
func (d *Dialect) slot(c *gin.Context, s *subject, r lease.Request) (*lease.Grant, error) {
	ctx := c.Request.Context()
	if signerOf(c).Integration.ReadOnly {
		held, err := d.Leases.Held(ctx, s.ID, r.Client)
		if err == nil && !held {
			err = errNoSlot
		}
		return nil, err
	}
	g, err := d.Leases.CheckOut(ctx, s.key, r)
	return &g, err
}

func (d *Dialect) answerCheck(c *gin.Context, s *subject, deviceID string, g *lease.Grant) error {
	return d.answerLicense(c, s, deviceID, func(v view) (any, error) {
		body := checkBody{
			licenseBody:      v.licenseBody,
			LicenseActive:    true,
			LicenseEnabled:   true,
			DeviceID:         v.deviceID,
			LicenseSignature: v.signature,
		}
		if g != nil {
			body.FloatingInUseDevices = &g.Slots.InUse
			if until := g.Lease.BorrowedUntil; until.After(d.Clock.Now()) {
				body.IsBorrowed, body.BorrowedUntil = true, stamp(until)
			}
		}
		var err error
		body.latestVersion, err = d.latest(c.Request.Context(), v.product.Code, s.sent)
		return body, err
	})
}

// deviceID is the id of the device of a call that is known to have its seat; empty for one with a lease alone.
func (d *Dialect) deviceID(ctx context.Context, s *subject) (string, error) {
	device, err := d.Licenses.FindDevice(ctx, s.ID, s.client.HardwareID)
	if err != nil || device == nil {
		return "", err
	}
	return device.ID, nil
}

// deactivate frees the seat of the device, and its slot, and counts what it says it consumed: both or neither.
func (d *Dialect) deactivate(c *gin.Context, s *subject) error {
	ctx, f := c.Request.Context(), apierr.Fields{}
	if checkReported(f, "consumptions", s.sent.Consumptions); len(f) > 0 {
		return f.Err()
	}
	if err := d.keepVariables(ctx, s); err != nil {
		return err
	}
	if err := d.leaveWith(ctx, s); err != nil {
		return err
	}
	return word(c, wordDeactivated)
}

func (d *Dialect) leaveWith(ctx context.Context, s *subject) error {
	if s.sent.Consumptions == nil {
		return d.leave(ctx, s)
	}
	return d.Seats.Store.InTransaction(ctx, func(ctx context.Context) error {
		late := false
		if s.LeaseIsSeat() {
			var err error
			if late, err = d.Leases.ReturnLate(ctx, s.ID, s.client); err != nil {
				return err
			}
		}
		if err := d.catchUp(ctx, s, report{late: late}); err != nil {
			return err
		}
		return d.leave(ctx, s)
	})
}

// leave frees what the device has. Where a lease is the seat, it may have one from before the terms were changed, too.
func (d *Dialect) leave(ctx context.Context, s *subject) error {
	if s.LeaseIsSeat() {
		if err := d.Leases.ReleaseHeld(ctx, s.ID, s.client); err != nil {
			return err
		}
		device, err := d.Licenses.FindDevice(ctx, s.ID, s.client.HardwareID)
		if err != nil || device == nil || !device.IsActive {
			return err
		}
	}
	_, err := d.Seats.DeactivateOwn(ctx, s.key, s.client)
	return err
}
