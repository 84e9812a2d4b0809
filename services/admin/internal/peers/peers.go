// Package peers is what admin asks its peer services.
package peers

import (
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
)

// Peers are the ways to the peer services.
type Peers struct {
	// Auth and Licenses lead to the services that own API keys, and licenses with their devices.
	Auth, Licenses *rpc.Gateway
	// Counts and Analytics know figures.
	Counts    licensev1connect.LicenseServiceClient
	Analytics analyticsv1connect.AnalyticsServiceClient
}

// New makes them.
func New(c *app.Core) Peers {
	return Peers{
		Auth:      app.NewGateway(c, "auth"),
		Licenses:  app.NewGateway(c, "license"),
		Counts:    app.NewClient(c, "license", licensev1connect.NewLicenseServiceClient),
		Analytics: app.NewClient(c, "analytics", analyticsv1connect.NewAnalyticsServiceClient),
	}
}
