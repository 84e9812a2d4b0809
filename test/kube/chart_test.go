//go:build unix

package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const chartPath = "deploy/helm/latchkey"

var loadedChart = once(func(t *testing.T) *chart.Chart {
	loaded, err := loader.Load(inRoot(t, chartPath))
	if err != nil {
		t.Fatal(err)
	}
	return loaded
})

// helm renders the chart with a file of values, as helm install does for the release latchkey.
func helm(t *testing.T, values map[string]any) (files map[string]string, err error) {
	t.Helper()
	release := chartutil.ReleaseOptions{Name: "latchkey", Namespace: "latchkey", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(loadedChart(t), values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(loadedChart(t), all)
}

// renderExamples renders the chart with each of its examples.
func renderExamples(t *testing.T) (found []rendered) {
	t.Helper()
	paths, err := filepath.Glob(inRoot(t, chartPath+"/examples/*.yaml"))
	if err != nil || len(paths) < 5 {
		t.Fatalf("found the examples %v (%v)", paths, err)
	}
	for _, path := range paths {
		values := readValues(t, path)
		files, err := helm(t, values)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		r := decodeFiles(t, "chart with "+filepath.Base(path), files)
		if names, ok := values["secrets"].(map[string]any); ok {
			for part, name := range names {
				r.secrets[part] = name.(string)
			}
		}
		found = append(found, r)
	}
	return found
}

func readValues(t *testing.T, path string) (values map[string]any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(raw, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

func decodeFiles(t *testing.T, name string, files map[string]string) rendered {
	t.Helper()
	r := rendered{name: name, secrets: map[string]string{}}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if base := filepath.Base(file); base != "NOTES.txt" && !strings.HasPrefix(base, "_") {
			decoded := decode(t, name+", "+base, []byte(files[file]))
			r.objects = append(r.objects, decoded.objects...)
			r.stream += "\n---\n" + decoded.stream
		}
	}
	return r
}

// TestChartAndKustomizeAgree: the same objects, but for labels, annotations and hashes in names.
func TestChartAndKustomizeAgree(t *testing.T) {
	image := map[string]any{"registry": "registry.example.com", "tag": "unreleased"}
	for _, c := range []struct {
		overlay rendered
		values  map[string]any
	}{
		{dev(t), map[string]any{"bundled": true}},
		{prod(t), map[string]any{"image": image}},
		{monitored(t), map[string]any{
			"image": image, "monitoring": map[string]any{"enabled": true},
			"network": map[string]any{"metricsFrom": "monitoring"},
			"traces": map[string]any{
				"endpoint": "http://otel-collector.monitoring:4318",
				"to": []any{map[string]any{"namespaceSelector": map[string]any{
					"matchLabels": map[string]any{"kubernetes.io/metadata.name": "monitoring"},
				}}},
			},
		}},
	} {
		files, err := helm(t, c.values)
		if err != nil {
			t.Fatal(err)
		}
		chart, manifests := comparable(t, decodeFiles(t, "chart", files)), comparable(t, c.overlay)
		if diff := cmp.Diff(manifests, chart); diff != "" {
			t.Errorf("%s (-) and the chart (+) differ:\n%s", c.overlay.name, diff)
		}
	}
}

// onlyHere are objects that one of the two alone has.
var onlyHere = regexp.MustCompile(`^Namespace|smoke-test(ed)?$`)

// comparable are the objects by kind and name, without what differs between the two tools.
func comparable(t *testing.T, r rendered) map[string]any {
	t.Helper()
	found := map[string]any{}
	for _, o := range r.objects {
		raw, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var plain map[string]any
		if err := json.Unmarshal(raw, &plain); err != nil {
			t.Fatal(err)
		}
		metadata := plain["metadata"].(map[string]any)
		delete(metadata, "labels")
		delete(metadata, "namespace")
		id := fmt.Sprint(o.GetObjectKind().GroupVersionKind().Kind, " ", withoutHash(o.GetName()))
		if !onlyHere.MatchString(id) {
			found[id] = simplified(plain)
		}
	}
	return found
}

var (
	hashed  = regexp.MustCompile(`^(latchkey-[a-z]+-(settings|init|start))-[a-z0-9]{10}$`)
	of1tool = regexp.MustCompile(`^(app.kubernetes.io/instance|annotations)$`)
)

func withoutHash(name string) string { return hashed.ReplaceAllString(name, "$1") }

func simplified(v any) any {
	switch v := v.(type) {
	case string:
		return withoutHash(v)
	case []any:
		for i := range v {
			v[i] = simplified(v[i])
		}
	case map[string]any:
		for key := range v {
			if v[key] = simplified(v[key]); of1tool.MatchString(key) {
				delete(v, key)
			}
		}
	}
	return v
}

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

// TestNotesNameWhatIsThere: the commands and calls after an installation, with names of Services and Secrets.
func TestNotesNameWhatIsThere(t *testing.T) {
	for _, path := range []string{"1-minimal.yaml", "3-existing-secrets.yaml"} {
		values := readValues(t, inRoot(t, chartPath+"/examples/"+path))
		files, err := helm(t, values)
		if err != nil {
			t.Fatal(err)
		}
		notes, r := files["latchkey/templates/NOTES.txt"], decodeFiles(t, path, files)
		for _, match := range regexp.MustCompile(`service/(\S+) (\d+)`).FindAllStringSubmatch(notes, -1) {
			if s := named[*corev1.Service](t, r, match[1]); fmt.Sprint(s.Spec.Ports[0].Port) != match[2] {
				t.Errorf("%s: the notes forward %s to %s", path, match[2], match[1])
			}
		}
		want := []string{"latchkey-auth admin_secret", "latchkey-admin admin_api_key"}
		if path == "3-existing-secrets.yaml" {
			want = []string{"licensing-auth admin_secret", "licensing-admin admin_api_key"}
		}
		for _, secret := range append(want, "{{.data.$2 | base64decode}}", "/api/v1/auth/api-key ",
			"/api/v1/admin/licenses ", "/api/v1/license/activate ") {
			if !strings.Contains(notes, secret) {
				t.Errorf("%s: the notes lack %s:\n%s", path, secret, notes)
			}
		}
	}
}
