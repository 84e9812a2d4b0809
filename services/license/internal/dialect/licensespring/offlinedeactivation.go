package licensespring

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
)

// deactivateBundleOffline is deactivateOffline for all products of a bundle.
func (d *Dialect) deactivateBundleOffline(c *gin.Context, o *offlineCall) error {
	if err := o.requireBundle(signerOf(c)); err != nil {
		return err
	}
	return d.deactivateOffline(c, o)
}

// deactivateOffline frees the seat of a device that says, in a file, that it has given up its activation, also on a
// license that has ended. What it consumed meanwhile is counted first, also beyond the limit: it has happened.
func (d *Dialect) deactivateOffline(c *gin.Context, o *offlineCall) error {
	ctx := c.Request.Context()
	before, err := d.before(ctx, o, offlineDeactivation)
	if err != nil {
		return err
	}
	if before != nil {
		return word(c, string(before))
	}
	if err := d.catchUp(ctx, o); err != nil {
		return err
	}
	raw, err := d.once(ctx, o, offlineDeactivation, func(ctx context.Context) ([]byte, error) {
		_, err := d.Seats.DeactivateReturned(ctx, o.subject.key, o.client)
		return []byte("license_deactivated"), err
	})
	if err != nil {
		return err
	}
	return word(c, string(raw))
}

// catchUp counts what a device consumed without the server, once for each request, and keeps its variables.
func (d *Dialect) catchUp(ctx context.Context, o *offlineCall) error {
	consume := func(what string, u counter.Use) error {
		u.OperationID, u.Happened = counter.OwnOperation("offline "+o.signedName()+" "+what), true
		_, err := d.Counters.Consume(ctx, o.subject.key, o.client, u)
		return err
	}
	if t, n := mainCounter(o.License), o.subject.sent.Consumptions; t != nil && n != nil && *n != 0 {
		if err := consume("", counter.Use{Amounts: map[string]int64{t.Name: *n}}); err != nil {
			return err
		}
	}
	amounts := o.featureAmounts()
	for _, code := range slices.Sorted(maps.Keys(amounts)) {
		if err := consume(code, counter.Use{Entitlement: code, Amount: amounts[code]}); err != nil {
			return err
		}
	}
	if len(o.subject.sent.Variables) == 0 {
		return nil
	}
	_, err := d.Seats.AddVariables(ctx, o.subject.key, o.client, o.subject.sent.Variables)
	if err != nil && apierr.From(err).Kind.Status() >= http.StatusInternalServerError {
		return err
	}
	return nil // variables that are refused do not keep the seat
}

// featureAmounts are what was consumed of each product feature, also where the file has one several times.
func (o *offlineRequest) featureAmounts() map[string]int64 {
	amounts := map[string]int64{}
	for _, f := range o.ProductFeatures {
		if f.Consumptions != nil && *f.Consumptions != 0 {
			amounts[cmp.Or(f.Code, f.Feature)] += *f.Consumptions
		}
	}
	return amounts
}
