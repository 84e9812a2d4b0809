package main

import (
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

// service is one service of the suite. running is nil before it was opened.
type service struct {
	app.Service
	addr    string
	running app.Running
	deps    app.Deps // of running
}

// addrSetting is the environment name of addr.
func (s *service) addrSetting() string { return "LATCHKEY_" + strings.ToUpper(s.Name) + "_ADDR" }

// newServices are the four services with their settings, in the order in which their work ends.
func newServices(set *settings) []*service {
	return []*service{
		{Service: license.Program(&set.license), addr: set.LicenseAddr},
		{Service: auth.Program(&set.auth), addr: set.AuthAddr},
		{Service: analytics.Program(&set.analytics), addr: set.AnalyticsAddr},
		{Service: admin.Program(&set.admin), addr: set.AdminAddr},
	}
}
