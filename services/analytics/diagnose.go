package analytics

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/store"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// addressesAsked is how many uses of the last addressesSince are looked at.
const (
	addressesAsked = 1000
	addressesSince = 24 * time.Hour
)

// diagnoseAddresses tells of a proxy that hides the addresses of the devices: without them no sharing is found.
func diagnoseAddresses(ctx context.Context, d *app.Diagnosis, data *db.DB) {
	const what = "client addresses"
	recent, err := store.New(data, nil).RecentUses(ctx, time.Now().Add(-addressesSince), addressesAsked)
	if err != nil {
		d.Warn(what, db.Remedy(err), "cannot be read: %v", err)
		return
	}
	if address, share := usage.HidingAddress(recent); address != "" {
		d.Warn(what, "if that is a proxy, name it in LATCHKEY_TRUSTED_PROXIES of auth and license, and have it send "+
			"X-Forwarded-For: until then account_sharing is never found, and limits count its clients as one",
			"%.0f%% of the uses of the last day come from %s", 100*share, address)
		return
	}
	d.OK(what, "are told apart")
}
