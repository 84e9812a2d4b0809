//go:build unix

package kube

import (
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// elsewhere are settings of docker-compose.yml that are no part of a Deployment: an operator's own, and those that a
// rotation adds.
var elsewhere = regexp.MustCompile(
	`^(OTEL_.*|LATCHKEY_(TRUSTED_PROXIES|MAINTENANCE|.*_NEXT_FILE|.*_PREVIOUS_FILE))$`)

// TestSettingsAndImagesAreThoseOfCompose: what docker-compose.yml says of a service holds here, too.
func TestSettingsAndImagesAreThoseOfCompose(t *testing.T) {
	raw, err := os.ReadFile(inRoot(t, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Image       string            `json:"image"`
			Environment map[string]string `json:"environment"`
		} `json:"services"`
	}
	if err := yaml.Unmarshal(raw, &compose); err != nil {
		t.Fatal(err)
	}
	for _, r := range everything(t) {
		for _, service := range services {
			c := named[*appsv1.Deployment](t, r, r.prefix()+"-"+service).Spec.Template.Spec.Containers[0]
			have := maps.Clone(environment(t, r, c))
			for _, e := range c.Env {
				have[e.Name] = e.Value
			}
			for setting := range compose.Services[service].Environment {
				_, set := have[setting]
				if !set && !elsewhere.MatchString(setting) && !elsewhere.MatchString(service+" "+setting) {
					t.Errorf("%s: %s lacks %s", r.name, service, setting)
				}
			}
		}
		for _, w := range workloads(r) {
			part := strings.TrimSuffix(w.labels[component], "-migrate")
			image := w.spec.Containers[0].Image
			if slices.Contains([]string{"postgres", "rabbitmq"}, part) && image != compose.Services[part].Image {
				t.Errorf("%s: %s runs %s, and docker-compose.yml %s",
					r.name, w.name, image, compose.Services[part].Image)
			}
			name, _, _ := strings.Cut(path.Base(image), ":")
			if own := compose.Services[part].Image; slices.Contains(services, part) &&
				path.Join("latchkey", name) != own {
				t.Errorf("%s: %s runs %s, and docker-compose.yml %s", r.name, w.name, image, own)
			}
		}
	}
}
