//go:build unix

package kube

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestBadValuesAreRefused: each by the schema, before anything is rendered.
func TestBadValuesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"bundled: 'yes'":                               "/bundled",
		"bundeld: true":                                "bundeld",
		"image: {tag: 'a b'}":                          "/image/tag",
		"image: {registry: 'https://example.com'}":     "/image/registry",
		"image: {repository: ''}":                      "/image/repository",
		"image: {pullPolicy: Sometimes}":               "/image/pullPolicy",
		"image: {pullSecrets: ['']}":                   "/image/pullSecrets",
		"secrets: {auth: 'A B'}":                       "/secrets/auth",
		"secrets: {auht: x}":                           "auht",
		"{bundled: true, secrets: {auth: mine}}":       "/secrets/auth",
		"settings: {auth: {LOG_LEVEL: debug}}":         "LOG_LEVEL",
		"settings: {auth: {LATCHKEY_ADMIN_SECRET: x}}": "LATCHKEY_ADMIN_SECRET",
		"settings: {auth: {LATCHKEY_MASTER_KEY: x}}":   "LATCHKEY_MASTER_KEY",
		"settings: {auth: {LATCHKEY_DATABASE_URL: x}}": "LATCHKEY_DATABASE_URL",
		"settings: {auth: {LATCHKEY_ADDR: ':1'}}":      "LATCHKEY_ADDR",
		"settings: {auth: {LATCHKEY_DRAIN_DELAY: 1m}}": "LATCHKEY_DRAIN_DELAY",
		"settings: {auth: {LATCHKEY_LOG_LEVEL: [x]}}":  "/settings/auth",
		"drainDelaySeconds: 5s":                        "/drainDelaySeconds",
		"drainDelaySeconds: 301":                       "/drainDelaySeconds",
		"drainDelaySeconds: -1":                        "/drainDelaySeconds",
		"services: {auth: {minReplicas: 0}}":           "/services/auth/minReplicas",
		"services: {auth: {maxReplicas: 1.5}}":         "/services/auth/maxReplicas",
		"services: {auth: {resources: {limits: {memory: " +
			"1GB}}}}": "/services/auth/resources/limits/memory",
		"services: {auth: {resources: {limits: {memory: " +
			"null}}}}": "/services/auth/resources/limits",
		"services: {auht: {minReplicas: 2}}":                                            "auht",
		"network: {databasePort: 0}":                                                    "/network/databasePort",
		"network: {brokerPorts: []}":                                                    "/network/brokerPorts",
		"network: {databaseTo: ['192.0.2.1']}":                                          "/network/databaseTo",
		"network: {metricsFrom: 'my monitoring'}":                                       "/network/metricsFrom",
		"hosts: {auth: 'https://auth.example.com'}":                                     "/hosts/auth",
		"hosts: {auth: localhost}":                                                      "/hosts/auth",
		"ingress: {enabled: true, tlsSecret: tls}":                                      "/hosts",
		"{ingress: {enabled: true}, hosts: {auth: auth.example.com}}":                   "/ingress/tlsSecret",
		"{ingress: {enabled: true, tlsSecret: tls}, hosts: {admin: a.example.com}}":     "/hosts",
		"{adminIngress: {enabled: true, tlsSecret: tls}, hosts: {auth: a.example.com}}": "/hosts",
		"{adminGateway: {enabled: true}, hosts: {admin: a.example.com}}":                "/adminGateway/parentRefs",
		"network: {publicFrom: [{}]}":                                                   "/network/publicFrom",
		"monitoring: {enabled: true}":                                                   "/network/metricsFrom",
		"monitoring: {labels: {app.kubernetes.io/name: x}}":                             "app.kubernetes.io/name",
		"monitoring: {labels: {release: 5}}":                                            "/monitoring/labels/release",
		"settings: {auth: {OTEL_EXPORTER_OTLP_HEADERS: x}}":                             "OTEL_EXPORTER_OTLP_HEADERS",
		"traces: {ratio: 2}":                                                            "/traces/ratio",
		"settings: {auth: {OTEL_TRACES_SAMPLER: always_on}}":                            "OTEL_TRACES_SAMPLER",
		"traces: {endpoint: 'http://collector:4318'}":                                   "/traces/to",
		"traces: {endpoint: 'http://collector:65536'}":                                  "/traces/endpoint",
		"traces: {headersSecret: 'a=b'}":                                                "/traces/headersSecret",
		"traces: {endpoint: 'http://collector'}":                                        "/traces/endpoint",
		"edge: 'true'":                                                                  "/edge",
		"maintenance: yes please":                                                       "/maintenance",
		"settings: {auth: {LATCHKEY_EDGE: true}}":                                       "LATCHKEY_EDGE",
		"{gateway: {enabled: true}, hosts: {auth: auth.example.com}}":                   "/gateway/parentRefs",
	} {
		t.Run(name, func(t *testing.T) {
			var values map[string]any
			if err := yaml.UnmarshalStrict([]byte(name), &values); err != nil {
				t.Fatal(err)
			}
			if _, err := helm(t, values); err == nil || !strings.Contains(err.Error(), text) ||
				!strings.Contains(err.Error(), "schema") {
				t.Errorf("error %v, want one about %s", err, text)
			}
		})
	}
}

// TestNumbersStayWhole: the template language writes large numbers as 2.68435456e+08, which no setting takes.
func TestNumbersStayWhole(t *testing.T) {
	var values map[string]any
	const text = "settings: {license: {LATCHKEY_CACHE_BYTES: 268435456, LATCHKEY_DOCS_DISABLED: true, " +
		"LATCHKEY_DIALECTS: none}}"
	if err := yaml.UnmarshalStrict([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	files, err := helm(t, values)
	if err != nil {
		t.Fatal(err)
	}
	got := named[*corev1.ConfigMap](t, decodeFiles(t, "chart", files), "latchkey-license-settings").Data
	want := map[string]string{
		"LATCHKEY_CACHE_BYTES": "268435456", "LATCHKEY_DOCS_DISABLED": "true", "LATCHKEY_DIALECTS": "none",
		"LATCHKEY_ENV": "production",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestHeadersOfTracesComeFromASecret: they are the credentials of a collector.
func TestHeadersOfTracesComeFromASecret(t *testing.T) {
	files, err := helm(t, map[string]any{"traces": map[string]any{"headersSecret": "collector"}})
	if err != nil {
		t.Fatal(err)
	}
	const name = "OTEL_EXPORTER_OTLP_HEADERS"
	r := decodeFiles(t, "chart", files)
	for _, d := range of[*appsv1.Deployment](r) {
		env := d.Spec.Template.Spec.Containers[0].Env
		i := slices.IndexFunc(env, func(e corev1.EnvVar) bool { return e.Name == name })
		if i < 0 || env[i].ValueFrom.SecretKeyRef.Name != "collector" || env[i].ValueFrom.SecretKeyRef.Key != name {
			t.Errorf("%s has the environment %+v", d.Name, env)
		}
	}
}

// TestSecretsAreNoSettings: the schema lets no secret of docs/configuration.md into a ConfigMap.
func TestSecretsAreNoSettings(t *testing.T) {
	page, err := os.ReadFile(inRoot(t, "docs/configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := regexp.MustCompile("`(LATCHKEY_[A-Z_]+)`, `LATCHKEY_[A-Z_]+_FILE`").
		FindAllStringSubmatch(string(page), -1)
	if len(secrets) < 8 {
		t.Fatalf("docs/configuration.md has the secrets %v", secrets)
	}
	for _, secret := range secrets {
		values := map[string]any{"settings": map[string]any{"license": map[string]any{secret[1]: "x"}}}
		if _, err := helm(t, values); err == nil {
			t.Errorf("%s may be a setting", secret[1])
		}
		values = map[string]any{"settings": map[string]any{"license": map[string]any{secret[1] + "_FILE": "/x"}}}
		if _, err := helm(t, values); err != nil {
			t.Errorf("%s_FILE may be none: %v", secret[1], err)
		}
	}
}

// TestSchemaKnowsEveryValue: whoever reads values.yaml sees all that may be set.
func TestSchemaKnowsEveryValue(t *testing.T) {
	var schema struct {
		Properties map[string]any `json:"properties"`
	}
	raw, err := os.ReadFile(inRoot(t, chartPath+"/values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	delete(schema.Properties, "global") // of Helm
	known := slices.Sorted(maps.Keys(schema.Properties))
	values := slices.Sorted(maps.Keys(readValues(t, inRoot(t, chartPath+"/values.yaml"))))
	if diff := cmp.Diff(known, values); diff != "" {
		t.Errorf("the schema (-) and values.yaml (+) differ:\n%s", diff)
	}
}
