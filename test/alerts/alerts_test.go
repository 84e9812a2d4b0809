package alerts

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"

	"github.com/latchkey-dev/latchkey/test/metrics"
)

const folder = "../../deploy/observability"

func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(filepath.Join(folder, "alerts.yml"), false, model.UTF8Validation,
		parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// firing are series, at one-minute steps, that set an alert off at the end; quiet are like them and must not.
var situations = map[string]struct{ firing, quiet string }{
	"LatchkeyServiceDown": {
		firing: `up{job="latchkey-auth", instance="a"} 1x5 0x5`,
		quiet:  `up{job="latchkey-auth", instance="a"} 1x8 0x1`,
	},
	"LatchkeyServiceGone": {
		firing: `up{job="latchkey-license", instance="a"} 1x5 _x20
			up{job="latchkey-auth", instance="b"} 1x25`,
		quiet: `up{job="latchkey-license", instance="a"} 1x5 _x20
			up{job="latchkey-license", instance="b"} _x5 1x20
			up{job="another", instance="c"} 1x5 _x20`,
	},
	"LatchkeyErrors": {
		firing: `latchkey_http_request_duration_seconds_count{service="auth", status="5xx"} 0+52x20
			latchkey_http_errors_total{service="auth", error_code="MAINTENANCE"} 0+50x20
			latchkey_http_errors_total{service="license", error_code="MAINTENANCE"} 0+90x20
			latchkey_http_request_duration_seconds_count{service="auth", status="2xx"} 0+100x20`,
		quiet: `latchkey_http_request_duration_seconds_count{service="auth", status="5xx"} 0+2x20
			latchkey_http_request_duration_seconds_count{service="auth", status="4xx"} 0+300x20
			latchkey_http_request_duration_seconds_count{service="license", status="5xx"} 0+50x20
			latchkey_http_errors_total{service="license", error_code="MAINTENANCE"} 0+50x20
			latchkey_http_request_duration_seconds_count{service="license", status="2xx"} 0+100x20`,
	},
	"LatchkeyValidateSlow": {
		firing: `latchkey_http_request_duration_seconds_bucket{route="/api/v1/license/validate", le="0.25"} 0+95x30
			latchkey_http_request_duration_seconds_bucket{route="/api/v1/license/validate", le="1"} 0+100x30
			latchkey_http_request_duration_seconds_bucket{route="/api/v1/license/validate", le="+Inf"} 0+100x30`,
		quiet: `latchkey_http_request_duration_seconds_bucket{route="/api/v1/license/activate", le="0.25"} 0+1x30
			latchkey_http_request_duration_seconds_bucket{route="/api/v1/license/activate", le="+Inf"} 0+100x30
			latchkey_http_request_duration_seconds_bucket{route="/api/v1/license/validate", le="0.25"} 0+100x30
			latchkey_http_request_duration_seconds_bucket{route="/api/v1/license/validate", le="+Inf"} 0+100x30`,
	},
	"LatchkeyBusAway": {
		firing: `latchkey_bus_connected{service="license"} 1x5 0x5`,
		quiet:  `latchkey_bus_connected{service="license"} 1x5 0x1 1x5`,
	},
	"LatchkeyOutboxStuck": {
		firing: `latchkey_outbox_oldest_unsent_seconds{service="license"} 0+30x20
			latchkey_maintenance{service="license"} 0x20
			latchkey_maintenance{service="auth"} 1x20`,
		quiet: `latchkey_outbox_oldest_unsent_seconds{service="license"} -1x5 50x20
			latchkey_outbox_oldest_unsent_seconds{service="auth"} 0+30x30
			latchkey_maintenance{service="auth"} 1x30`,
	},
	"LatchkeyTelemetryDropped": {
		firing: `latchkey_telemetry_dropped_events_total{service="license"} 0x5 5+5x5`,
		quiet:  `latchkey_telemetry_dropped_events_total{service="license"} 500x30`,
	},
	"LatchkeyDeadLetters": {
		firing: `latchkey_dead_letters{queue="analytics.events"} 0x3 1x5`,
		quiet:  `latchkey_dead_letters{queue="analytics.events"} 0x3 -1x5`,
	},
	"LatchkeyConsumerLag": {
		firing: `latchkey_consumer_lag_seconds{service="analytics", instance="a", queue="q"} 400x30`,
		quiet:  `latchkey_consumer_lag_seconds{service="analytics", instance="a", queue="q"} 400x9 0x20`,
	},
	"LatchkeyDatabaseAway": {
		firing: `latchkey_outbox_unsent_events{service="auth"} 0x3 -1x5`,
		quiet:  `latchkey_outbox_unsent_events{service="auth"} 0x3 700x5`,
	},
	"LatchkeyDatabaseRefuses": {
		firing: `latchkey_database_refused_calls_total{service="auth"} 0+1x20`,
		quiet:  `latchkey_database_refused_calls_total{service="auth"} 9x20`,
	},
	"LatchkeyDatabaseBusy": {
		firing: `latchkey_database_connections_in_use{service="auth"} 10x20
			latchkey_database_connections_max{service="auth"} 10x20`,
		quiet: `latchkey_database_connections_in_use{service="auth"} 1x20
			latchkey_database_connections_max{service="auth"} 1x20`,
	},
	"LatchkeyRateLimited": {
		firing: `latchkey_http_errors_total{service="license", error_code="RATE_LIMIT_EXCEEDED"} 0+20x60
			latchkey_http_request_duration_seconds_count{service="license", status="4xx"} 0+100x60`,
		quiet: `latchkey_http_errors_total{service="license", error_code="LICENSE_EXPIRED"} 0+90x60
			latchkey_http_request_duration_seconds_count{service="license", status="4xx"} 0+100x60`,
	},
	"LatchkeyTokensRefused": {
		firing: `latchkey_auth_refused_tokens_total{service="auth", reason="expired"} 0+90x60`,
		quiet:  `latchkey_license_refused_tokens_total{service="license", reason="expired"} 0+30x60`,
	},
	"LatchkeyCacheMisses": {
		firing: `latchkey_cache_lookups_total{service="license", cache="license_keys", result="miss"} 0+900x60
			latchkey_cache_lookups_total{service="license", cache="license_keys", result="hit"} 0+300x60`,
		quiet: `latchkey_cache_lookups_total{service="license", cache="license_keys", result="miss"} 0+9x60
			latchkey_cache_lookups_total{service="license", cache="license_keys", result="hit"} 0+3x60`,
	},
	"LatchkeyApplianceGrace": {
		firing: `latchkey_license_appliance_status{service="license", status="GRACE_PERIOD"} 0x5 1x30`,
		quiet:  `latchkey_license_appliance_status{service="license", status="VALID"} 1x30`,
	},
	"LatchkeyApplianceNotLicensed": {
		firing: `latchkey_license_appliance_status{service="license", status="INVALID"} 0x5 1x10`,
		quiet: `latchkey_license_appliance_status{service="license", status="INVALID"} 0x10
			latchkey_license_appliance_status{service="license", status="GRACE_PERIOD"} 1x10`,
	},
	"LatchkeyVersionsDiffer": {
		firing: `latchkey_build_info{service="auth", version="v1", commit="a"} 1x150
			latchkey_build_info{service="license", version="v2", commit="b"} 1x150`,
		quiet: `latchkey_build_info{service="auth", version="v1", commit="a"} 1x150
			latchkey_build_info{service="license", version="v1", commit="a"} 1x150`,
	},
}

func TestEveryAlertFires(t *testing.T) {
	names := map[string]bool{}
	for _, rule := range alerts(t) {
		names[rule.Alert] = true
		s, ok := situations[rule.Alert]
		if !ok {
			t.Errorf("no series set off %s", rule.Alert)
			continue
		}
		if !fires(t, rule, s.firing) {
			t.Errorf("%s does not fire", rule.Alert)
		}
		if fires(t, rule, s.quiet) {
			t.Errorf("%s fires where it must not", rule.Alert)
		}
	}
	for name := range situations {
		if !names[name] {
			t.Errorf("there is no alert %s", name)
		}
	}
}

// fires evaluates a rule each minute over series, and reports whether it fires when they end.
func fires(t *testing.T, rule rulefmt.Rule, series string) bool {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 1m\n"+indented(series))
	defer storage.Close()
	engine := promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
		MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 90 * time.Second,
		Parser: parser.NewParser(parser.Options{}),
	})
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(rule.Expr)
	if err != nil {
		t.Fatal(err)
	}
	alert := rules.NewAlertingRule(rule.Alert, expr, time.Duration(rule.For), 0, labels.FromMap(rule.Labels),
		labels.FromMap(rule.Annotations), labels.EmptyLabels(), "", true, slog.New(slog.DiscardHandler))
	query := rules.EngineQueryFunc(engine, storage)
	steps := length(t, series)
	for minute := range steps {
		at := time.Unix(0, 0).Add(time.Duration(minute) * time.Minute)
		if _, err := alert.Eval(t.Context(), 0, at, query, &url.URL{}, 0); err != nil {
			t.Fatalf("%s: %v", rule.Alert, err)
		}
		alert.SetEvaluationTimestamp(at) // without it there is no state
	}
	return alert.State() == rules.StateFiring
}

func indented(series string) string {
	var out strings.Builder
	for line := range strings.Lines(series) {
		out.WriteString("  " + strings.TrimSpace(line) + "\n")
	}
	return out.String()
}

// length is the number of minutes that the longest series lasts.
func length(t *testing.T, series string) (longest int) {
	t.Helper()
	for line := range strings.Lines(series) {
		_, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		longest = max(longest, len(values))
	}
	return longest
}

func TestEveryAlertHasItsRunbook(t *testing.T) {
	page, err := os.ReadFile("../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range alerts(t) {
		// trunk is the branch that ci and releases know.
		_, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "/blob/trunk/docs/alerts.md#")
		if anchor != strings.ToLower(rule.Alert) {
			t.Errorf("%s: its runbook_url is %q", rule.Alert, rule.Annotations["runbook_url"])
		}
		if !strings.Contains(string(page), "\n## "+rule.Alert+"\n") {
			t.Errorf("docs/alerts.md has nothing about %s", rule.Alert)
		}
		if rule.Annotations["summary"] == "" || rule.Labels["severity"] == "" {
			t.Errorf("%s: without summary or severity", rule.Alert)
		}
	}
}

// queries are all expressions of alerts and dashboards, by where they stand.
func queries(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, rule := range alerts(t) {
		all["alert "+rule.Alert] = []string{rule.Expr}
	}
	files, err := filepath.Glob(filepath.Join(folder, "grafana/dashboards/*.json"))
	if err != nil || len(files) != 4 {
		t.Fatalf("%d dashboards: %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(raw, &dashboard); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, panel := range dashboard.Panels {
			for _, target := range panel.Targets {
				where := filepath.Base(file) + " " + panel.Title
				all[where] = append(all[where], target.Expr)
			}
		}
	}
	return all
}

// variables are what Grafana puts into queries.
var variables = regexp.MustCompile(`\$__rate_interval|\$service`)

func TestEveryMetricOfAlertsAndDashboardsExists(t *testing.T) {
	known, err := metrics.All(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for where, exprs := range queries(t) {
		for _, text := range exprs {
			text = variables.ReplaceAllStringFunc(text, func(name string) string {
				return map[string]string{"$__rate_interval": "5m", "$service": ".*"}[name]
			})
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
			if err != nil {
				t.Errorf("%s: %v", where, err)
				continue
			}
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				if selector, ok := node.(*parser.VectorSelector); ok {
					check(t, where, selector, known, used)
				}
				return nil
			})
		}
	}
	for _, m := range known {
		if !used[m.Name] {
			t.Errorf("no alert and no dashboard shows %s", m.Name)
		}
	}
}

// check looks at one selector of a query: its metric exists, and has the labels that it asks for.
func check(t *testing.T, where string, s *parser.VectorSelector, known []metrics.Metric, used map[string]bool) {
	t.Helper()
	var names []string
	asked := map[string]bool{}
	for _, matcher := range s.LabelMatchers {
		if matcher.Name == model.MetricNameLabel {
			names = strings.Split(matcher.Value, "|")
			continue
		}
		asked[matcher.Name] = true
	}
	for _, name := range names {
		if name == "up" || strings.HasPrefix(name, "process_") {
			continue
		}
		i := slices.IndexFunc(known, func(m metrics.Metric) bool { return seriesOf(m, name) })
		if i < 0 {
			t.Errorf("%s: there is no metric %s", where, name)
			continue
		}
		used[known[i].Name] = true
		for label := range maps.Keys(asked) {
			if !slices.Contains(append(known[i].Labels, "service", "le", "job", "instance"), label) {
				t.Errorf("%s: %s has no label %s", where, name, label)
			}
		}
	}
}

// seriesOf reports whether a metric has series of that name.
func seriesOf(m metrics.Metric, name string) bool {
	if m.Type() != "histogram" {
		return m.Name == name
	}
	base, suffix, _ := cutLast(name, "_")
	return m.Name == base && slices.Contains([]string{"bucket", "sum", "count"}, suffix)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
