//go:build unix

package kube

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const observability = "deploy/observability/"

// operated are what is rendered for the Prometheus Operator.
func operated(t *testing.T) (found []rendered) {
	t.Helper()
	for _, r := range everything(t) {
		if len(of[*monitoringv1.PodMonitor](r)) > 0 {
			found = append(found, r)
		}
	}
	if len(found) != 2 {
		t.Fatalf("%d of all that is rendered have a PodMonitor, want one overlay and one example", len(found))
	}
	return found
}

// TestEveryServiceIsScraped: a PodMonitor selects the pods of the services, by a port that the monitoring may reach.
func TestEveryServiceIsScraped(t *testing.T) {
	for _, r := range operated(t) {
		monitor := of[*monitoringv1.PodMonitor](r)[0]
		if !r.monitored() || len(monitor.Spec.PodMetricsEndpoints) != 1 {
			t.Fatalf("%s: who scrapes is let in: %v, at %+v", r.name, r.monitored(), monitor.Spec)
		}
		endpoint := monitor.Spec.PodMetricsEndpoints[0]
		var scraped []string
		for _, w := range workloads(r) {
			for _, port := range w.spec.Containers[0].Ports {
				if selects(t, &monitor.Spec.Selector, w.labels) && port.Name == *endpoint.Port {
					scraped = append(scraped, w.labels[component])
				}
			}
		}
		slices.Sort(scraped)
		if diff := cmp.Diff(services, scraped); diff != "" || endpoint.Path != "" {
			t.Errorf("%s: scraped at %q (path %q):\n%s", r.name, *endpoint.Port, endpoint.Path, diff)
		}
		// The alerts tell by the job whether a target is ours.
		job := endpoint.RelabelConfigs[0]
		if job.TargetLabel != "job" || *job.Replacement != "latchkey-$1" || len(job.SourceLabels) != 1 ||
			job.SourceLabels[0] != "__meta_kubernetes_pod_label_app_kubernetes_io_component" {
			t.Errorf("%s: the job is %+v", r.name, job)
		}
	}
}

// TestAlertsAreThoseOfObservability: a PrometheusRule has what deploy/observability/alerts.yml has.
func TestAlertsAreThoseOfObservability(t *testing.T) {
	raw, err := os.ReadFile(inRoot(t, observability+"alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var want monitoringv1.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict(raw, &want); err != nil || len(want.Groups) == 0 {
		t.Fatalf("alerts.yml has %d groups: %v", len(want.Groups), err)
	}
	for _, r := range operated(t) {
		rules := of[*monitoringv1.PrometheusRule](r)
		if len(rules) != 1 {
			t.Fatalf("%s has %d PrometheusRules", r.name, len(rules))
		}
		if diff := cmp.Diff(want, rules[0].Spec); diff != "" {
			t.Errorf("%s: run scripts/gen, alerts.yml (-) and the PrometheusRule (+) differ:\n%s", r.name, diff)
		}
	}
}

// TestDashboardsAreThoseOfObservability: all of them, in a ConfigMap that Grafana's sidecar finds.
func TestDashboardsAreThoseOfObservability(t *testing.T) {
	paths, err := filepath.Glob(inRoot(t, observability+"grafana/dashboards/*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("found the dashboards %v (%v)", paths, err)
	}
	want := map[string]string{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want["latchkey-"+filepath.Base(path)] = string(raw)
	}
	for _, r := range operated(t) {
		dashboards := named[*corev1.ConfigMap](t, r, "latchkey-dashboards")
		if dashboards.Labels["grafana_dashboard"] != "1" {
			t.Errorf("%s: the dashboards have the labels %v", r.name, dashboards.Labels)
		}
		if diff := cmp.Diff(want, dashboards.Data); diff != "" {
			t.Errorf("%s: the files (-) and the ConfigMap (+) differ:\n%s", r.name, diff)
		}
	}
}

// TestPrometheusSelectsByLabels: the labels of the values stand on what Prometheus selects.
func TestPrometheusSelectsByLabels(t *testing.T) {
	r := operated(t)[1]
	for _, o := range r.objects {
		switch o.(type) {
		case *monitoringv1.PodMonitor, *monitoringv1.PrometheusRule:
			if o.GetLabels()["release"] != "kube-prometheus-stack" {
				t.Errorf("%s: %T has the labels %v", r.name, o, o.GetLabels())
			}
		}
	}
}
