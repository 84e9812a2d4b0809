// Package metrics knows the metrics of all services, for the page about them and for the tests of alerts and
// dashboards.
package metrics

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/inproc"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

// Metric is a metric and the services that have it, in the order of programs.
type Metric struct {
	obs.Description
	Services []string
}

// All makes the four services, starts none of them, and reads what they register: the metrics by name.
func All(ctx context.Context) (all []Metric, err error) {
	dir, err := os.MkdirTemp("", "latchkey-metrics-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	found := map[string]*Metric{}
	for _, program := range programs() {
		registered, err := made(ctx, dir, program)
		if err != nil {
			return nil, err
		}
		for _, d := range registered.Descriptions() {
			if found[d.Name] == nil {
				found[d.Name] = &Metric{Description: d}
			}
			found[d.Name].Services = append(found[d.Name].Services, program.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		all = append(all, *found[name])
	}
	return all, nil
}

// programs are the services with the settings that they cannot do without.
func programs() []app.Service {
	base := app.Base{
		Env: app.Development, AuthURL: "http://auth", LicenseURL: "http://license", AnalyticsURL: "http://analytics",
	}
	base.Introduce(rpc.NewIdentity(auth.Name))
	key := app.MasterKeys{MasterKey: secret.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))}
	authConfig, licenseConfig, analyticsConfig, adminConfig :=
		auth.DefaultConfig(), license.DefaultConfig(), analytics.DefaultConfig(), admin.DefaultConfig()
	authConfig.Base, authConfig.MasterKeys = base, key
	licenseConfig.Base, licenseConfig.MasterKeys = base, key
	analyticsConfig.Base = base
	adminConfig.Base, adminConfig.MasterKeys = base, key
	return []app.Service{
		auth.Program(&authConfig), license.Program(&licenseConfig), analytics.Program(&analyticsConfig),
		admin.Program(&adminConfig),
	}
}

// made are the metrics of a service that was made and ended.
func made(ctx context.Context, dir string, program app.Service) (*obs.Metrics, error) {
	d, err := db.Open(ctx, db.Config{URL: "sqlite:" + filepath.Join(dir, program.Name), Schema: program.Name})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	events, err := inproc.New(inproc.Config{DB: d, Queues: bus.AllQueues(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer events.Close()
	deps := app.Deps{
		Log: slog.New(slog.DiscardHandler), DB: d, Bus: events, HTTP: httpx.InProcess{}, Clock: clock.System{},
		Metrics: obs.NewMetrics(program.Name),
	}
	if _, err := program.New(deps); err != nil {
		return nil, err
	}
	return deps.Metrics, nil
}
