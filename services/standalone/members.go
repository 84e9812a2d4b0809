package main

import (
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

// newMembers are the four services with their settings.
func newMembers(set *settings) []*member {
	return []*member{
		{
			name: "license", addr: set.LicenseAddr, setting: "LATCHKEY_LICENSE_ADDR", migrations: license.Migrations,
			keys:  func(d app.Deps) (*masterkey.Register, error) { return license.MasterKeys(set.license, d) },
			build: func(d app.Deps) (app.Running, error) { return license.New(set.license, d) },
		},
		{
			name: "auth", addr: set.AuthAddr, setting: "LATCHKEY_AUTH_ADDR", migrations: auth.Migrations,
			keys:  func(d app.Deps) (*masterkey.Register, error) { return auth.MasterKeys(set.auth, d) },
			build: func(d app.Deps) (app.Running, error) { return auth.New(set.auth, d) },
		},
		{
			name: "analytics", addr: set.AnalyticsAddr, setting: "LATCHKEY_ANALYTICS_ADDR", migrations: analytics.Migrations,
			build: func(d app.Deps) (app.Running, error) { return analytics.New(set.analytics, d) },
		},
		{
			name: "admin", addr: set.AdminAddr, setting: "LATCHKEY_ADMIN_ADDR", migrations: admin.Migrations,
			keys:  func(d app.Deps) (*masterkey.Register, error) { return admin.MasterKeys(set.admin, d) },
			build: func(d app.Deps) (app.Running, error) { return admin.New(set.admin, d) },
		},
	}
}
