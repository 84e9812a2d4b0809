package kube

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// TestMaintenance: the component and the value of the chart bring every service into maintenance mode.
func TestMaintenance(t *testing.T) {
	r := prodWith(t, "maintenance", "maintenance")
	for _, service := range services {
		c := named[*appsv1.Deployment](t, r, r.prefix()+"-"+service).Spec.Template.Spec.Containers[0]
		if got := environment(t, r, c)["LATCHKEY_MAINTENANCE"]; got != "true" {
			t.Errorf("%s has LATCHKEY_MAINTENANCE %q", service, got)
		}
	}
	files, err := helm(t, map[string]any{"bundled": true, "maintenance": true})
	if err != nil {
		t.Fatal(err)
	}
	settings := files["latchkey/templates/settings.yaml"]
	if n := strings.Count(settings, `LATCHKEY_MAINTENANCE: "true"`); n != len(services) {
		t.Errorf("the chart has it for %d services:\n%s", n, settings)
	}
}
