package main

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

// newMembers makes the settings of the four services from those of the house. A secret that the environment names replaces the
// one that was made, also in s.
func newMembers(set *settings, s *secrets) ([]*member, error) {
	master := app.MasterKeys{MasterKey: secret.Secret(s.MasterKey)}
	authCfg := auth.Config{MasterKeys: master, AdminSecret: secret.Secret(s.AdminSecret)}
	licenseCfg := license.Config{MasterKeys: master}
	analyticsCfg := analytics.Config{}
	adminCfg := admin.Config{MasterKeys: master, AdminAPIKey: secret.Secret(s.AdminAPIKey)}
	err := errors.Join(
		set.fill("auth", &authCfg, &authCfg.Base, s.InternalSecret),
		set.fill("license", &licenseCfg, &licenseCfg.Base, s.InternalSecret),
		set.fill("analytics", &analyticsCfg, &analyticsCfg.Base, s.InternalSecret),
		set.fill("admin", &adminCfg, &adminCfg.Base, s.InternalSecret),
	)
	if err != nil {
		return nil, err
	}
	authCfg.RateLimitShared, licenseCfg.RateLimitShared, analyticsCfg.RateLimitShared = set.SharedLimits, set.SharedLimits, set.SharedLimits
	s.AdminSecret, s.AdminAPIKey = authCfg.AdminSecret.Reveal(), adminCfg.AdminAPIKey.Reveal()

	return []*member{
		{
			name: "license", addr: set.LicenseAddr, setting: "LATCHKEY_LICENSE_ADDR", migrations: license.Migrations,
			keys:  func(d app.Deps) (*masterkey.Register, error) { return license.MasterKeys(licenseCfg, d) },
			build: func(d app.Deps) (app.Running, error) { return license.New(licenseCfg, d) },
		},
		{
			name: "auth", addr: set.AuthAddr, setting: "LATCHKEY_AUTH_ADDR", migrations: auth.Migrations,
			keys:  func(d app.Deps) (*masterkey.Register, error) { return auth.MasterKeys(authCfg, d) },
			build: func(d app.Deps) (app.Running, error) { return auth.New(authCfg, d) },
		},
		{
			name: "analytics", addr: set.AnalyticsAddr, setting: "LATCHKEY_ANALYTICS_ADDR", migrations: analytics.Migrations,
			build: func(d app.Deps) (app.Running, error) { return analytics.New(analyticsCfg, d) },
		},
		{
			name: "admin", addr: set.AdminAddr, setting: "LATCHKEY_ADMIN_ADDR", migrations: admin.Migrations,
			keys:  func(d app.Deps) (*masterkey.Register, error) { return admin.MasterKeys(adminCfg, d) },
			build: func(d app.Deps) (app.Running, error) { return admin.New(adminCfg, d) },
		},
	}, nil
}
