package licensespring

import (
	"context"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// consumedBody is the answer to consumption of a license.
type consumedBody struct {
	ID          int64 `json:"id"`
	consumption `json:",inline"`
	Company     company `json:"company"`
}

// featureConsumedBody is the answer to consumption of a product feature.
type featureConsumedBody struct {
	ID              int64 `json:"id"`
	LicenseID       int64 `json:"license_id"`
	consumption     `json:",inline"`
	IsFloating      bool    `json:"is_floating"`
	IsFloatingCloud bool    `json:"is_floating_cloud"`
	FloatingUsers   int     `json:"floating_users"`
	Company         company `json:"company"`
}

// addConsumption counts on the counter of the license. How much more than the limit may be consumed is a term of the
// license; clients that send it change nothing.
func (d *Dialect) addConsumption(c *gin.Context, s *subject) error {
	t := mainCounter(s.License)
	if t == nil {
		return errNoConsumption
	}
	done, err := d.consume(c, s, counter.Use{Amounts: map[string]int64{t.Name: s.sent.amount()}})
	if err != nil {
		return err
	}
	n, err := d.Numbers.Numbers(c.Request.Context(), integration.NumberQuery{License: s.ID})
	if err != nil {
		return err
	}
	return d.answer(c, consumedBody{
		ID: n.License, consumption: newConsumption(t, done.States[0].Used), Company: company{companyID},
	})
}

func (d *Dialect) addFeatureConsumption(c *gin.Context, s *subject) error {
	if s.sent.Feature == "" {
		return missing("feature")
	}
	code := s.sent.Feature
	done, err := d.consume(c, s, counter.Use{Entitlement: code, Amount: s.sent.amount()})
	if err != nil {
		return err
	}
	// Of the license as it was counted on: what memory has of it may be older.
	e, _ := done.License.Entitlement(code)
	q := integration.NumberQuery{License: s.ID, Features: []string{code}}
	n, err := d.Numbers.Numbers(c.Request.Context(), q)
	if err != nil {
		return err
	}
	used := map[string]int64{e.Counter: done.States[0].Used}
	f := newFeature(&e, &done.License.Terms, n.Features[code], used)
	if f.featureConsumption == nil { // it lost its counter since the operation that is repeated
		return licensing.ErrEntitlementMissing
	}
	return d.answer(c, featureConsumedBody{
		ID:              f.ID,
		LicenseID:       n.License,
		consumption:     consumption(*f.featureConsumption),
		IsFloatingCloud: f.IsFloatingCloud,
		FloatingUsers:   f.FloatingUsers,
		Company:         company{companyID},
	})
}

// amount is how much is consumed: one where the client does not say.
func (r *request) amount() int64 {
	if r.Consumptions == nil {
		return 1
	}
	return *r.Consumptions
}

// consume counts. An Idempotency-Key, which clients may add, names the
// operation: the protocol has no name for it, so that calls without it that come twice count twice.
func (d *Dialect) consume(c *gin.Context, s *subject, u counter.Use) (counter.Consumption, error) {
	u.Member = "consumptions"
	name, f := jsonbody.Identifier(c.GetHeader("Idempotency-Key")), apierr.Fields{}
	if f.MaxLen("Idempotency-Key", name, maxText); len(f) > 0 {
		return counter.Consumption{}, f.Err()
	}
	if name != "" {
		scope := signerOf(c).Integration.ID + "\x00" + s.client.HardwareID
		u.OperationID = counter.KeyedOperation(scope, name)
	}
	return d.Counters.Consume(c.Request.Context(), s.key, s.client, u)
}

// checkedFeature is the answer to a check of a product feature.
type checkedFeature struct {
	LicenseID            int64 `json:"license_id"`
	featureBody          `json:",inline"`
	FloatingInUseDevices *int            `json:"floating_in_use_devices,omitzero"`
	MetadataString       *jsontext.Value `json:"metadata_string,omitzero"`
}

// checkFeature reports whether the device may use a product feature. Of a floating license it takes its own slot.
func (d *Dialect) checkFeature(c *gin.Context, s *subject) error {
	if s.sent.Feature == "" {
		return missing("feature")
	}
	ctx := c.Request.Context()
	v, err := d.Seats.ValidateAnd(ctx, s.key, s.client, licensing.Require([]string{s.sent.Feature}))
	switch {
	case err != nil:
		return err
	case !v.Valid:
		return licensing.ErrNotActivated
	}
	f, n, err := d.feature(ctx, s)
	if err != nil {
		return err
	}
	b := checkedFeature{LicenseID: n.License, featureBody: f}
	if f.IsFloatingCloud {
		g, err := d.slot(c, s, s.featureLease())
		if err != nil {
			return err
		}
		if g != nil {
			b.FloatingInUseDevices = &g.Slots.InUse
		}
	}
	if s.sent.IncludeMetadataString {
		text, err := jsontext.AppendQuote(nil, string(f.Metadata))
		if err != nil {
			return err
		}
		b.MetadataString = (*jsontext.Value)(&text)
	}
	return d.answer(c, b)
}

// feature is the entitlement that a call names, with the numbers of the license.
func (d *Dialect) feature(ctx context.Context, s *subject) (featureBody, integration.Numbers, error) {
	code := s.sent.Feature
	e, ok := s.Entitlement(code)
	if !ok || !slices.Contains(s.UsableFeatures(d.Clock.Now()), code) {
		return featureBody{}, integration.Numbers{}, licensing.ErrEntitlementMissing
	}
	n, err := d.Numbers.Numbers(ctx, integration.NumberQuery{License: s.ID, Features: []string{code}})
	if err != nil {
		return featureBody{}, n, err
	}
	used, err := d.used(ctx, s.License)
	return newFeature(&e, &s.Terms, n.Features[code], used), n, err
}

// featureLease is the lease of a product feature. It is another than that of the license on the same device.
func (s *subject) featureLease() lease.Request {
	client := s.client
	client.SessionID = featureSession(s.sent.Feature)
	return lease.Request{Client: client, Entitlement: s.sent.Feature}
}

func featureSession(code string) string { return "feature " + code }
