//go:build unix

package kube

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/test/servers"
)

// TestPodsRunAsRendered runs all pods of the chart for a try but its servers, has a license made and validated, and
// ends a pod. The overlay for a try has the same ones.
func TestPodsRunAsRendered(t *testing.T) {
	n := startNode(t, examples(t)[0])
	running := n.up(t)
	n.smokeTest(t)
	n.wantDrained(t, "license", running["license"])
	for _, service := range services {
		log, err := os.ReadFile(n.group.Path(service + ".log"))
		if err != nil || len(log) == 0 {
			t.Fatalf("%s has written no log: this test sees nothing (%v)", service, err)
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, "ACCESS_REFUSED") || strings.Contains(line, "permission denied") {
				t.Errorf("%s is refused something: %s", service, line)
			}
		}
	}
}

// smokeTest runs the pod of "helm test".
func (n *node) smokeTest(t *testing.T) {
	t.Helper()
	cmd := n.command(t, n.workload(t, "Pod", "smoke-test"))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "validated") {
		t.Errorf("the smoke test: %v\n%s", err, out)
	}
}

// wantDrained ends a pod: it is unready but alive, answers for a while, and ends by itself in time.
func (n *node) wantDrained(t *testing.T, service string, p *servers.Process) {
	t.Helper()
	d := named[*appsv1.Deployment](t, n.rendered, n.prefix()+"-"+service)
	c := d.Spec.Template.Spec.Containers[0]
	ended := make(chan bool)
	go func() { ended <- p.Stop(syscall.SIGTERM, seconds(d.Spec.Template.Spec.TerminationGracePeriodSeconds)) }()
	testkit.Eventually(t, time.Minute, func() error {
		if err := n.probe(t.Context(), service, c.ReadinessProbe); err == nil || !strings.Contains(err.Error(), "503") {
			return fmt.Errorf("ready, or not there: %w", err)
		}
		return nil
	})
	if err := n.probe(t.Context(), service, c.LivenessProbe); err != nil {
		t.Errorf("%s is not alive while it drains: %v", service, err)
	}
	response, err := http.Get("http://" + n.ports[service+"/public"] + "/version")
	if err != nil {
		t.Errorf("%s does not answer while it drains: %v", service, err)
	} else {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	if !<-ended {
		t.Errorf("%s was killed, or failed, when it was asked to end", service)
	}
}
