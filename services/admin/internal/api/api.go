// Package api is the public HTTP surface of admin, the front desk of the suite. Each handler checks who asks and whether the
// request has the right shape, asks the service that owns the data, and answers in the words of the public API. Which
// values are acceptable is decided by the rules of the owning service alone.
package api

import (
	"log/slog"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/auth/v1/authv1connect"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

// Deps is what the handlers work with.
type Deps struct {
	Keys        *adminkey.Keys
	Audit       audit.Log
	Auth        authv1connect.AuthServiceClient
	Licenses    licensev1connect.LicenseServiceClient
	Analytics   analyticsv1connect.AnalyticsServiceClient
	Idempotency *idempotency.Store
	// Attempts bounds the admin keys that one client address may have refused.
	Attempts *guard.Attempts
	Clock    clock.Clock
	Log      *slog.Logger
}

// API is the handlers.
type API struct{ Deps }

// New returns the handlers.
func New(d Deps) *API { return &API{d} }
