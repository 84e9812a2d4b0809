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
	loaded.Metadata.AppVersion = "1.4.0" // as a release has it
	return loaded
})

// TestImagesAreNeverOfStrangers: the chart of a release takes the images of that release, and any other wants to be
// told which, as "latest" on Docker Hub is not ours.
func TestImagesAreNeverOfStrangers(t *testing.T) {
	files, err := helm(t, nil)
	if err != nil || !strings.Contains(files["latchkey/templates/deployment.yaml"],
		"image: ghcr.io/latchkey-dev/latchkey/auth:1.4.0\n") {
		t.Errorf("the chart of a release: %v\n%s", err, files["latchkey/templates/deployment.yaml"])
	}
	unreleased := *loadedChart(t)
	metadata := *unreleased.Metadata
	metadata.AppVersion, unreleased.Metadata = "unreleased", &metadata
	if _, err := helmChart(t, &unreleased, nil); err == nil || !strings.Contains(err.Error(), "image.tag") {
		t.Errorf("the chart of no release: %v", err)
	}
	if _, err := helmChart(t, &unreleased, map[string]any{"image": map[string]any{"tag": "x"}}); err != nil {
		t.Error(err)
	}
}

// helm renders the chart with a file of values, as helm install does for the release latchkey.
func helm(t *testing.T, values map[string]any) (files map[string]string, err error) {
	t.Helper()
	return helmChart(t, loadedChart(t), values)
}

func helmChart(t *testing.T, c *chart.Chart, values map[string]any) (files map[string]string, err error) {
	t.Helper()
	release := chartutil.ReleaseOptions{Name: "latchkey", Namespace: "latchkey", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(c, all)
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
		{dev(t), map[string]any{"bundled": true, "image": map[string]any{"registry": "", "tag": "latest"}}},
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
	latest  = regexp.MustCompile(`^(latchkey/[a-z]+):latest$`) // the same as without a tag
)

func withoutHash(name string) string { return hashed.ReplaceAllString(name, "$1") }

func simplified(v any) any {
	switch v := v.(type) {
	case string:
		return latest.ReplaceAllString(withoutHash(v), "$1")
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
