//go:build unix

package kube

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

const component = "app.kubernetes.io/component"

// services are the services of the suite.
var services = slices.Sorted(slices.Values(app.Services()))

// workload is what makes pods, and how these look.
type workload struct {
	kind, name string
	labels     labels.Set
	spec       corev1.PodSpec
	selector   *metav1.LabelSelector // nil for Jobs and pods
}

func workloads(r rendered) (found []workload) {
	for _, o := range r.objects {
		w := workload{name: o.GetName()}
		switch o := o.(type) {
		case *appsv1.Deployment:
			w.kind, w.labels, w.spec, w.selector =
				"Deployment", o.Spec.Template.Labels, o.Spec.Template.Spec, o.Spec.Selector
		case *appsv1.StatefulSet:
			w.kind, w.labels, w.spec, w.selector =
				"StatefulSet", o.Spec.Template.Labels, o.Spec.Template.Spec, o.Spec.Selector
		case *batchv1.Job:
			w.kind, w.labels, w.spec = "Job", o.Spec.Template.Labels, o.Spec.Template.Spec
		case *corev1.Pod:
			w.kind, w.labels, w.spec = "Pod", o.Labels, o.Spec
		default:
			continue
		}
		found = append(found, w)
	}
	return found
}

// promise is something that every container promises; broken says how one breaks it, or "".
type promise struct {
	what   string
	broken func(w workload, c corev1.Container) string
}

var promises = []promise{
	{"runs as another user than root, by its number", func(w workload, c corev1.Container) string {
		pod := w.spec.SecurityContext
		if pod == nil || !isTrue(pod.RunAsNonRoot) || pod.RunAsUser == nil || *pod.RunAsUser == 0 ||
			pod.RunAsGroup == nil || *pod.RunAsGroup == 0 {
			return fmt.Sprintf("the pod's security context is %+v", pod)
		}
		if own := c.SecurityContext; own.RunAsUser != nil || own.RunAsNonRoot != nil {
			return "it has a user of its own"
		}
		return ""
	}},
	{"cannot gain rights, and has no capability", func(_ workload, c corev1.Container) string {
		own := c.SecurityContext
		if own == nil || own.AllowPrivilegeEscalation == nil || *own.AllowPrivilegeEscalation ||
			isTrue(own.Privileged) ||
			own.Capabilities == nil || !slices.Equal(own.Capabilities.Drop, []corev1.Capability{"ALL"}) ||
			len(own.Capabilities.Add) > 0 {
			return fmt.Sprintf("its security context is %+v", own)
		}
		return ""
	}},
	{"writes only to volumes", func(_ workload, c corev1.Container) string {
		if !isTrue(c.SecurityContext.ReadOnlyRootFilesystem) {
			return "its root is not read-only"
		}
		return ""
	}},
	{"is filtered by seccomp", func(w workload, _ corev1.Container) string {
		if p := w.spec.SecurityContext.SeccompProfile; p == nil || p.Type != corev1.SeccompProfileTypeRuntimeDefault {
			return fmt.Sprintf("the profile is %+v", p)
		}
		return ""
	}},
	{"shares nothing with its node", func(w workload, _ corev1.Container) string {
		if w.spec.HostNetwork || w.spec.HostPID || w.spec.HostIPC {
			return "it shares a namespace"
		}
		for _, v := range w.spec.Volumes {
			if v.HostPath != nil {
				return "it mounts " + v.HostPath.Path
			}
		}
		return ""
	}},
	{"has no token for the API of Kubernetes, but for the Job of the secrets",
		func(w workload, _ corev1.Container) string {
			if mounted := w.spec.AutomountServiceAccountToken; mounted == nil ||
				*mounted != (w.labels[component] == "secrets") {
				return fmt.Sprintf("automountServiceAccountToken is %v", mounted)
			}
			return ""
		}},
	{"gets no environment from Services", func(w workload, _ corev1.Container) string {
		if w.spec.EnableServiceLinks == nil || *w.spec.EnableServiceLinks {
			return "LATCHKEY_AUTH_PORT and the like keep a service from starting"
		}
		return ""
	}},
	{"asks for CPU and memory, and has a limit of memory", func(_ workload, c corev1.Container) string {
		request, limit := c.Resources.Requests, c.Resources.Limits
		if request.Cpu().IsZero() || request.Memory().IsZero() || limit.Memory().Cmp(*request.Memory()) < 0 {
			return fmt.Sprintf("it has %+v", c.Resources)
		}
		return ""
	}},
	{"is pulled when it is not there", func(_ workload, c corev1.Container) string {
		if c.ImagePullPolicy != corev1.PullIfNotPresent {
			return fmt.Sprintf("the policy is %q", c.ImagePullPolicy)
		}
		return ""
	}},
	{"is probed, if it serves", func(w workload, c corev1.Container) string {
		if w.kind == "Job" || w.kind == "Pod" {
			return ""
		}
		for name, probe := range map[string]*corev1.Probe{
			"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe,
		} {
			if probe == nil {
				return "it has no " + name + " probe"
			}
		}
		return ""
	}},
	{"names its ports", func(_ workload, c corev1.Container) string {
		for _, port := range c.Ports {
			if port.Name == "" || port.HostPort != 0 {
				return fmt.Sprintf("%+v", port)
			}
		}
		return ""
	}},
}

func isTrue(b *bool) bool { return b != nil && *b }

func TestContainersKeepTheirPromises(t *testing.T) {
	for _, r := range everything(t) {
		found := workloads(r)
		if len(found) < 2*len(services) {
			t.Errorf("%s has %d workloads", r.name, len(found))
		}
		for _, w := range found {
			for _, c := range append(slices.Clone(w.spec.InitContainers), w.spec.Containers...) {
				for _, p := range promises {
					if how := p.broken(w, c); how != "" {
						t.Errorf("%s: %s %s, container %s: not so: %s: %s", r.name, w.kind, w.name, c.Name, p.what, how)
					}
				}
			}
		}
	}
}

// environment is the environment of a container, but for what comes from Secrets.
func environment(t *testing.T, r rendered, c corev1.Container) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, from := range c.EnvFrom {
		for name, value := range named[*corev1.ConfigMap](t, r, from.ConfigMapRef.Name).Data {
			values[name] = value
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			values[e.Name] = e.Value
		}
	}
	return values
}

// prefix is what the names of all objects begin with.
func (r rendered) prefix() string {
	for _, d := range of[*appsv1.Deployment](r) {
		if prefix, ok := strings.CutSuffix(d.Name, "-"+d.Spec.Template.Labels[component]); ok {
			return prefix
		}
	}
	return ""
}

// scales reports whether services have several replicas: not where the database is a pod beside them.
func (r rendered) scales() bool { return len(of[*appsv1.StatefulSet](r)) == 0 }

// staged reports whether a Job is run before the services: by the label that deploy/kubernetes/up knows, or as a hook.
func (r rendered) staged(job *batchv1.Job) bool {
	return job.Labels["latchkey.dev/stage"] == "migrate" ||
		strings.Contains(job.Annotations["helm.sh/hook"], "pre-upgrade")
}
