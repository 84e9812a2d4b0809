//go:build unix

package kube

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// end is one end of a connection: a pod of ours, a pod of another namespace, or an address elsewhere.
type end struct {
	name      string
	labels    labels.Set
	namespace string // "" is ours
	elsewhere bool   // no pod
}

var (
	dns        = end{name: "dns", namespace: "kube-system", labels: labels.Set{"k8s-app": "kube-dns"}}
	prometheus = end{name: "prometheus", namespace: "monitoring"}
	controller = end{name: "the controller", namespace: "ingress-nginx"}
	internal   = end{name: "the internal controller", namespace: "ingress-nginx-internal"}
	gateway    = end{name: "the gateway", namespace: "gateway"}
	neighbor   = end{name: "a pod of another namespace", namespace: "shop", labels: labels.Set{component: "auth"}}
	roommate   = end{name: "another pod of the namespace", labels: labels.Set{"app": "shop"}}
	internet   = end{name: "the internet", elsewhere: true}
)

// ports are those that anything of ours listens on, and some that nobody needs.
var ports = []int32{53, 443, 4317, 4318, 4369, 5432, 5671, 5672, 15672, 5001, 5002, 5003, 5004, 5101, 5102, 5103, 5104}

// peers are whom each service asks, as docs/architecture.md has it.
func peers(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile(inRoot(t, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| service | owns | asks |")
	table, _, _ = strings.Cut(table, "\n\n")
	asks := map[string][]string{}
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) == 5 {
			caller := strings.TrimSpace(cells[1])
			for _, service := range services {
				if regexp.MustCompile(`\b` + service + `\b`).MatchString(cells[3]) {
					asks[caller] = append(asks[caller], service)
				}
			}
		}
	}
	if len(asks["admin"]) != 3 || len(asks["auth"]) != 1 {
		t.Fatalf("docs/architecture.md says %v", asks)
	}
	return asks
}

// TestWhoMayTalkToWhom compares every connection that NetworkPolicies allow with what the architecture needs.
func TestWhoMayTalkToWhom(t *testing.T) {
	asks := peers(t)
	for _, r := range everything(t) {
		all := []end{dns, prometheus, controller, internal, gateway, neighbor, roommate, internet}
		for _, w := range workloads(r) {
			all = append(all, end{name: w.labels[component], labels: w.labels})
		}
		var want, got []string
		for _, from := range all {
			for _, to := range all {
				if !ours(from) && !ours(to) {
					continue
				}
				opened := allowed(t, r, from, to)
				for _, port := range ports {
					line := fmt.Sprintf("%s -> %s:%d", from.name, to.name, port)
					if opened(port) {
						got = append(got, line)
					}
					if needed(r, asks, from, to, port) {
						want = append(want, line)
					}
				}
			}
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("%s does not allow %s", r.name, line)
			}
		}
		for _, line := range got {
			if !slices.Contains(want, line) {
				t.Errorf("%s allows %s", r.name, line)
			}
		}
	}
}

// ours reports whether an end is a pod of the suite.
func ours(e end) bool { return e.labels["app.kubernetes.io/name"] == "latchkey" }

// needed reports whether a connection is part of the architecture. A pod of ours that nobody needs is not needed
// either.
func needed(r rendered, asks map[string][]string, from, to end, port int32) bool {
	service := slices.Contains(services, from.name)
	migration := strings.HasSuffix(from.name, "-migrate")
	switch {
	case ours(from) && to.name == "dns" && port == 53:
		return true
	case slices.Contains(services, to.name) && int(port) == 5001+index(to.name):
		return callers(r)[to.name] == from.name && from.name != "" ||
			from.name == "smoke-test" && to.name != "analytics"
	case slices.Contains(services, to.name) && int(port) == 5101+index(to.name):
		return slices.Contains(asks[from.name], to.name) || from.name == "prometheus" && r.monitored()
	case r.traced() && service && to.name == "prometheus" && port == 4318: // the collector is in the same namespace
		return true
	case r.name == "prod with Ingresses" && from.name == "license" && to.elsewhere && port == 443: // edge
		return true
	case strings.Contains(r.name, "2-external-databases"): // at addresses, the broker with TLS
		return to.elsewhere && (port == 5432 && (service || migration) || port == 5671 && service)
	case r.scales(): // the servers are anywhere
		return !ours(to) && (port == 5432 && (service || migration) || (port == 5671 || port == 5672) && service)
	case to.name == "postgres" && port == 5432:
		return service || migration
	case to.name == "rabbitmq" && port == 5672:
		return service
	case from.name == "secrets" && port == 443: // the API of Kubernetes may be anywhere
		return !ours(to)
	}
	return false
}

// callers are what the public port of each service is reached by, if at all.
func callers(r rendered) map[string]string {
	applications := func(by string) map[string]string { return map[string]string{"auth": by, "license": by} }
	everybody := func(public, admin string) map[string]string {
		return map[string]string{"auth": public, "license": public, "analytics": admin, "admin": admin}
	}
	switch r.name {
	case "examples/production":
		return applications(controller.name)
	case "prod with Ingresses":
		return everybody(controller.name, controller.name)
	case "prod with HTTPRoutes":
		return everybody(gateway.name, gateway.name)
	case "chart with 4-ingress.yaml":
		return everybody(controller.name, internal.name)
	case "chart with 5-high-availability.yaml":
		return applications(gateway.name)
	}
	return nil
}

// index of a service is by the order of its ports.
func index(service string) int {
	return slices.Index([]string{"auth", "license", "analytics", "admin"}, service)
}

func (r rendered) monitored() bool {
	return slices.ContainsFunc(of[*networkingv1.NetworkPolicy](r), func(p *networkingv1.NetworkPolicy) bool {
		return strings.HasSuffix(p.Name, "-metrics")
	})
}

// traced reports whether the services are told of a collector.
func (r rendered) traced() bool {
	return slices.ContainsFunc(of[*corev1.ConfigMap](r), func(c *corev1.ConfigMap) bool {
		return c.Data["OTEL_EXPORTER_OTLP_ENDPOINT"] != ""
	})
}

// TestPeersAreAskedWhereTheyAnswer: the URLs lead to the internal Services, and exist for whom a service asks.
func TestPeersAreAskedWhereTheyAnswer(t *testing.T) {
	asks := peers(t)
	for _, r := range everything(t) {
		for _, service := range services {
			d := named[*appsv1.Deployment](t, r, r.prefix()+"-"+service)
			settings := environment(t, r, d.Spec.Template.Spec.Containers[0])
			for _, peer := range services {
				url, set := settings["LATCHKEY_"+strings.ToUpper(peer)+"_URL"]
				if set != slices.Contains(asks[service], peer) {
					t.Errorf("%s: %s is told of %s: %v", r.name, service, peer, set)
				}
				s := named[*corev1.Service](t, r, r.prefix()+"-"+peer+"-internal")
				if want := fmt.Sprintf("http://%s:%d", s.Name, s.Spec.Ports[0].Port); set && url != want {
					t.Errorf("%s: %s asks %s at %s, which is at %s", r.name, service, peer, url, want)
				}
			}
		}
	}
}

// TestOnlyPublicPortsAreRouted: an Ingress and HTTPRoutes lead to the public Services that may be reached from there,
// and what is for administrators has an Ingress or a Gateway of its own.
func TestOnlyPublicPortsAreRouted(t *testing.T) {
	for _, r := range everything(t) {
		want, admin := map[string]int{}, regexp.MustCompile("analytics|admin")
		for service := range callers(r) {
			want["latchkey-"+service+":public"] = 1
		}
		if got := routes(t, r); !maps.Equal(got, want) {
			t.Errorf("%s: routes lead to %v, want %v", r.name, got, want)
		}
		for _, i := range of[*networkingv1.Ingress](r) {
			for _, rule := range i.Spec.Rules {
				backend := rule.HTTP.Paths[0].Backend.Service.Name
				if admin.MatchString(backend) != (i.Name == "latchkey-admin") {
					t.Errorf("%s: the Ingress %s leads to %s", r.name, i.Name, backend)
				}
			}
		}
		for _, route := range of[*gatewayv1.HTTPRoute](r) {
			if admin.MatchString(route.Name) != (route.Spec.ParentRefs[0].Name == "internal") {
				t.Errorf("%s: %s is behind %s", r.name, route.Name, route.Spec.ParentRefs[0].Name)
			}
		}
	}
}

// routes are the ports of Services that an Ingress and HTTPRoutes lead to.
func routes(t *testing.T, r rendered) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, i := range of[*networkingv1.Ingress](r) {
		for _, rule := range i.Spec.Rules {
			backend := rule.HTTP.Paths[0].Backend.Service
			found[backend.Name+":"+backend.Port.Name]++
			if len(i.Spec.TLS) != 1 || !slices.Contains(i.Spec.TLS[0].Hosts, rule.Host) ||
				i.Spec.TLS[0].SecretName == "" {
				t.Errorf("%s: %s is not served by TLS: %+v", r.name, rule.Host, i.Spec.TLS)
			}
		}
	}
	for _, route := range of[*gatewayv1.HTTPRoute](r) {
		for _, backend := range route.Spec.Rules[0].BackendRefs {
			s := named[*corev1.Service](t, r, string(backend.Name))
			if len(route.Spec.Hostnames) != 1 || *backend.Port != s.Spec.Ports[0].Port ||
				len(route.Spec.ParentRefs) != 1 {
				t.Errorf("%s: %s leads %v to %d", r.name, route.Name, route.Spec.Hostnames, *backend.Port)
			}
			found[string(backend.Name)+":"+s.Spec.Ports[0].Name]++
		}
	}
	return found
}
