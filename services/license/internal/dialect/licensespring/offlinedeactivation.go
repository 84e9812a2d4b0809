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
// license that has ended.
func (d *Dialect) deactivateOffline(c *gin.Context, o *offlineCall) error {
	ctx := c.Request.Context()
	before, err := d.before(ctx, o, offlineDeactivation)
	if err != nil {
		return err
	}
	if before != nil {
		return word(c, string(before))
	}
	if err := d.keepVariables(ctx, o.subject); err != nil {
		return err
	}
	raw, err := d.once(ctx, o, offlineDeactivation, func(ctx context.Context) ([]byte, error) {
		told := report{features: o.featureAmounts(), operation: "offline " + o.signedName()}
		if err := d.catchUp(ctx, o.subject, told); err != nil {
			return nil, err
		}
		_, err := d.Seats.DeactivateReturned(ctx, o.subject.key, o.client)
		return []byte(wordDeactivated), err
	})
	if err != nil {
		return err
	}
	return word(c, string(raw))
}

// wordDeactivated is the answer to each deactivation.
const wordDeactivated = "license_deactivated"

// report is what is known of the consumption that a device reports beside the amount of its license.
type report struct {
	features map[string]int64
	// operation names it, empty for one that cannot be repeated; late tells that the lease it was made by has ended.
	operation string
	late      bool
}

// catchUp counts what a device that leaves says it consumed, also beyond the limit: it has happened. It belongs in the
// transaction that frees the seat, because a call that is refused is sent again.
func (d *Dialect) catchUp(ctx context.Context, s *subject, r report) error {
	consume := func(what string, u counter.Use) error {
		if u.Happened, u.Late = true, r.late; r.operation != "" {
			u.OperationID = counter.OwnOperation(r.operation + " " + what)
		}
		_, err := d.Counters.Consume(ctx, s.key, s.client, u)
		return err
	}
	if t, n := mainCounter(s.License), s.sent.Consumptions; t != nil && n != nil && *n != 0 {
		if err := consume("", counter.Use{Amounts: map[string]int64{t.Name: *n}}); err != nil {
			return err
		}
	}
	for _, code := range slices.Sorted(maps.Keys(r.features)) {
		if err := consume(code, counter.Use{Entitlement: code, Amount: r.features[code]}); err != nil {
			return err
		}
	}
	return nil
}

// keepVariables keeps the variables of a device that leaves. Those that are refused do not keep the seat.
func (d *Dialect) keepVariables(ctx context.Context, s *subject) error {
	if len(s.sent.Variables) == 0 {
		return nil
	}
	_, err := d.Seats.AddVariables(ctx, s.key, s.client, s.sent.Variables)
	if err != nil && apierr.From(err).Kind.Status() >= http.StatusInternalServerError {
		return err
	}
	return nil
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
