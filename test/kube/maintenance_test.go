package kube

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// TestMaintenance: the component and the value of the chart bring every service into maintenance mode.
func TestMaintenance(t *testing.T) {
	chart, err := helm(t, map[string]any{"bundled": true, "maintenance": true})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []rendered{chart, prodWith(t, "maintenance", "maintenance")} {
		for _, service := range services {
			c := named[*appsv1.Deployment](t, r, r.prefix()+"-"+service).Spec.Template.Spec.Containers[0]
			if got := environment(t, r, c)["LATCHKEY_MAINTENANCE"]; got != "true" {
				t.Errorf("%s: %s has LATCHKEY_MAINTENANCE %q", r.name, service, got)
			}
		}
	}
}
