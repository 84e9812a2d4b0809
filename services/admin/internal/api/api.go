// Package api is the public HTTP surface of admin, the gateway of management. It checks who asks and whether the role
// allows it, and forwards to the service that owns the data, which answers. Admin's own are admin keys, the audit log,
// and answers that join several services.
package api

import (
	"log/slog"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
	"github.com/latchkey-dev/latchkey/services/admin/internal/peers"
)

// Deps is what the handlers work with.
type Deps struct {
	Keys  *adminkey.Registry
	Audit audit.Log
	peers.Peers
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
