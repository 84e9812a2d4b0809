//go:build unix

package kube

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// TestDeploymentsAreReplacedWithoutAGap: no replica goes before another one is ready, and each has the time to drain.
func TestDeploymentsAreReplacedWithoutAGap(t *testing.T) {
	for _, r := range everything(t) {
		found := of[*appsv1.Deployment](r)
		if len(found) != len(services) {
			t.Errorf("%s has %d Deployments", r.name, len(found))
		}
		for _, d := range found {
			rolling, pod := d.Spec.Strategy.RollingUpdate, d.Spec.Template.Spec
			if rolling == nil || rolling.MaxUnavailable.IntValue() != 0 || rolling.MaxSurge.IntValue() < 1 {
				t.Errorf("%s: %s is replaced by %+v", r.name, d.Name, rolling)
			}
			if want := drainTime(t, r, d) + 40*time.Second; seconds(pod.TerminationGracePeriodSeconds) < want {
				t.Errorf("%s: %s has %v s to end, and may need %v",
					r.name, d.Name, pod.TerminationGracePeriodSeconds, want)
			}
			spread := map[string]bool{}
			for _, c := range pod.TopologySpreadConstraints {
				selector, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
				spread[c.TopologyKey] = err == nil && selector.Matches(labels.Set(d.Spec.Template.Labels)) &&
					slices.Contains(c.MatchLabelKeys, component)
			}
			if !spread["kubernetes.io/hostname"] || !spread["topology.kubernetes.io/zone"] {
				t.Errorf("%s: %s is spread by %v", r.name, d.Name, spread)
			}
		}
	}
}

func seconds(n *int64) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}

// drainTime is how long a service goes on answering after SIGTERM, by its settings.
func drainTime(t *testing.T, r rendered, d *appsv1.Deployment) time.Duration {
	t.Helper()
	said, set := environment(t, r, d.Spec.Template.Spec.Containers[0])["LATCHKEY_DRAIN_DELAY"]
	if !set {
		return 5 * time.Second // the default of production
	}
	delay, err := time.ParseDuration(said)
	if err != nil {
		t.Fatal(err)
	}
	return delay
}

// TestProbesAskWhatExists: alive and ready by the paths that all services have, on a port of the container.
func TestProbesAskWhatExists(t *testing.T) {
	for _, r := range everything(t) {
		for _, d := range of[*appsv1.Deployment](r) {
			c := d.Spec.Template.Spec.Containers[0]
			for path, probes := range map[string][]*corev1.Probe{
				"/healthz": {c.StartupProbe, c.LivenessProbe}, "/readyz": {c.ReadinessProbe},
			} {
				for _, probe := range probes {
					if get := probe.HTTPGet; get == nil || get.Path != path || get.Port.String() != "internal" {
						t.Errorf("%s: %s is probed by %+v", r.name, d.Name, probe.ProbeHandler)
					}
				}
			}
			patience := time.Duration(c.StartupProbe.PeriodSeconds*c.StartupProbe.FailureThreshold) * time.Second
			if patience <= time.Minute { // LATCHKEY_START_TIMEOUT
				t.Errorf("%s: %s is killed %v after its start, and may still wait for its database",
					r.name, d.Name, patience)
			}
		}
	}
}

// TestEveryServiceHasItsParts: what belongs to a service is there under its name.
func TestEveryServiceHasItsParts(t *testing.T) {
	for _, r := range everything(t) {
		for _, service := range services {
			name := r.prefix() + "-" + service
			d := named[*appsv1.Deployment](t, r, name)
			if d.Spec.Replicas != nil && r.scales() {
				t.Errorf("%s: %s has a number of replicas beside its HorizontalPodAutoscaler", r.name, name)
			}
			account := named[*corev1.ServiceAccount](t, r, name)
			if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken ||
				d.Spec.Template.Spec.ServiceAccountName != name {
				t.Errorf("%s: the ServiceAccount of %s mounts a token, or is another's", r.name, name)
			}
			budget := named[*policyv1.PodDisruptionBudget](t, r, name)
			if !selects(t, budget.Spec.Selector, d.Spec.Template.Labels) || budget.Spec.MaxUnavailable.IntValue() != 1 {
				t.Errorf("%s: the PodDisruptionBudget of %s is %+v", r.name, name, budget.Spec)
			}
			for _, port := range []string{"public", "internal"} {
				wantService(t, r, service, port)
			}
			if r.scales() {
				wantScaled(t, r, name)
			}
		}
		if !r.scales() && len(of[*autoscalingv2.HorizontalPodAutoscaler](r)) > 0 {
			t.Errorf("%s scales, and has only one replica of its database", r.name)
		}
	}
}

// wantService wants the Service for the public or the internal port, and only that.
func wantService(t *testing.T, r rendered, service, port string) {
	t.Helper()
	name := r.prefix() + "-" + service
	d := named[*appsv1.Deployment](t, r, name)
	if port == "internal" {
		name += "-internal"
	}
	s := named[*corev1.Service](t, r, name)
	if len(s.Spec.Ports) != 1 || s.Spec.Ports[0].TargetPort.String() != port || s.Spec.Ports[0].Name != port ||
		s.Spec.Type != "" && s.Spec.Type != corev1.ServiceTypeClusterIP {
		t.Errorf("%s: the Service %s is %+v", r.name, name, s.Spec)
	}
	setting := map[string]string{"public": "LATCHKEY_ADDR", "internal": "LATCHKEY_INTERNAL_ADDR"}[port]
	for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
		listens := environment(t, r, d.Spec.Template.Spec.Containers[0])[setting]
		if p.Name == port && (p.ContainerPort != s.Spec.Ports[0].Port ||
			listens != fmt.Sprintf(":%d", p.ContainerPort)) {
			t.Errorf("%s: %s offers %d, the container %d, the program listens on %s",
				r.name, name, s.Spec.Ports[0].Port, p.ContainerPort, listens)
		}
	}
	for _, w := range workloads(r) {
		if labels.SelectorFromSet(s.Spec.Selector).Matches(w.labels) != (w.kind == "Deployment" && w.name == d.Name) {
			t.Errorf("%s: the Service %s leads to %s %s, or not to its own", r.name, name, w.kind, w.name)
		}
	}
}

func wantScaled(t *testing.T, r rendered, name string) {
	t.Helper()
	s := named[*autoscalingv2.HorizontalPodAutoscaler](t, r, name).Spec
	target := autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: name, APIVersion: "apps/v1"}
	if s.ScaleTargetRef != target || s.MinReplicas == nil || *s.MinReplicas < 2 || s.MaxReplicas < *s.MinReplicas ||
		len(s.Metrics) == 0 {
		t.Errorf("%s: %s is scaled by %+v", r.name, name, s)
	}
}

func selects(t *testing.T, selector *metav1.LabelSelector, of labels.Set) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return !s.Empty() && s.Matches(of)
}

// TestSelectorsSelectTheirOwnPodsOnly looks at all that selects pods by labels.
func TestSelectorsSelectTheirOwnPodsOnly(t *testing.T) {
	for _, r := range everything(t) {
		found := workloads(r)
		for _, by := range found {
			for _, w := range found {
				if by.selector != nil && selects(t, by.selector, w.labels) != (by.name == w.name && by.kind == w.kind) {
					t.Errorf("%s: %s %s selects the pods of %s %s, or not its own",
						r.name, by.kind, by.name, w.kind, w.name)
				}
			}
		}
	}
}

// TestMigrationsRunBeforeTheServices: a Job for each service, with the same image and the same database.
func TestMigrationsRunBeforeTheServices(t *testing.T) {
	for _, r := range everything(t) {
		for _, service := range services {
			name := r.prefix() + "-" + service
			served := named[*appsv1.Deployment](t, r, name).Spec.Template.Spec.Containers[0]
			job := named[*batchv1.Job](t, r, name+"-migrate")
			c := job.Spec.Template.Spec.Containers[0]
			const url = "LATCHKEY_DATABASE_URL_FILE"
			if !slices.Equal(c.Args, []string{"migrate"}) || c.Image != served.Image ||
				environment(t, r, c)[url] != environment(t, r, served)[url] {
				t.Errorf("%s: the migration of %s runs %s %v", r.name, service, c.Image, c.Args)
			}
			if job.Spec.BackoffLimit == nil || job.Spec.TTLSecondsAfterFinished == nil ||
				job.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
				t.Errorf("%s: the migration of %s fails without end, or stays: %+v", r.name, service, job.Spec)
			}
			if limit := job.Spec.ActiveDeadlineSeconds; limit != nil {
				t.Errorf("%s: the migration of %s is cut off after %d s, and begins anew", r.name, service, *limit)
			}
			if !r.staged(job) {
				t.Errorf("%s: the migration of %s does not come before the rollout: %v %v", r.name, service, job.Labels,
					job.Annotations)
			}
		}
	}
}
