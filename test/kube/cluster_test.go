//go:build unix

package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/latchkey-dev/latchkey/pkg/kubesecrets"
)

// TestAPIServer shows all that is rendered to an API server of Kubernetes, and has deploy/kubernetes/up and Helm bring
// it there, with the real kubectl and helm.
func TestAPIServer(t *testing.T) {
	c := startCluster(t)
	t.Run("takes every object", c.takesEveryObject)
	t.Run("refuses what is wrong", c.refusesWhatIsWrong)
	controllers := c.startControllers(t)
	t.Run("up", controllers.up)
	t.Run("helm", controllers.helm)
}

// takesEveryObject applies what is rendered, one after the other, in a namespace that takes only restricted pods.
func (c *cluster) takesEveryObject(t *testing.T) {
	for _, r := range everything(t) {
		c.must(t, r.stream, "kubectl", "--namespace", "latchkey", "apply", "--server-side", "--dry-run=server",
			"--filename", "-")
		out := c.must(t, r.stream, "kubectl", "--namespace", "latchkey", "apply", "--server-side", "--filename", "-")
		if n := strings.Count(out, "serverside-applied"); n != len(r.objects) || strings.Contains(out, "Warning") {
			t.Errorf("%s: %d of %d objects were taken:\n%s", r.name, n, len(r.objects), out)
		}
		pods := podsOf(t, r)
		out = c.must(t, pods, "kubectl", "create", "--dry-run=server", "--filename", "-")
		t.Logf("%s: %d objects and %d pods", r.name, len(r.objects), strings.Count(out, "\n"))
		c.must(t, withoutNamespace(r), "kubectl", "--namespace", "latchkey", "delete", "--wait=false", "--filename",
			"-")
	}
	for folder, kind := range map[string]string{
		"cloudnative-pg": "clusters.postgresql.cnpg.io", "rabbitmq-cluster-operator": "rabbitmqclusters.rabbitmq.com",
	} {
		if out, err := c.run(t, "", "kubectl", "get", "crd", kind); err != nil {
			t.Logf("examples/%s was not checked: no Go module has the definition of %s\n%s", folder, kind, out)
			continue
		}
		c.must(t, "", "kubectl", "apply", "--server-side", "--filename",
			inRoot(t, "deploy/kubernetes/examples/"+folder+"/cluster.yaml"))
		t.Logf("examples/%s: 1 object", folder)
	}
}

// podsOf are the pods of all workloads, as their controllers make them.
func podsOf(t *testing.T, r rendered) string {
	t.Helper()
	var all corev1.PodList
	for _, w := range workloads(r) {
		pod := corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Name: w.name + "-made", Namespace: "latchkey", Labels: w.labels},
			Spec:       *w.spec.DeepCopy(),
		}
		if w.kind == "StatefulSet" { // a volume for the claim
			pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "data"})
		}
		all.Items = append(all.Items, pod)
	}
	all.APIVersion, all.Kind = "v1", "List"
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func documents(r rendered) []string { return strings.Split("\n"+r.stream, "\n---") }

// withoutNamespace is what is rendered but for its namespace: nothing here would remove one that ends.
func withoutNamespace(r rendered) string {
	return strings.Join(slices.DeleteFunc(documents(r), func(document string) bool {
		return strings.Contains(document, "\nkind: Namespace\n")
	}), "\n---")
}

// refusesWhatIsWrong plants errors, so that we know that the API server looks.
func (c *cluster) refusesWhatIsWrong(t *testing.T) {
	for _, planted := range []struct {
		in        rendered
		good, bad string
		complaint string
	}{
		{dev(t), "  maxUnavailable: 1\n", "  maxUnavailable: 1\n  minAvailable: 1\n", "cannot be both set"},
		{dev(t), "    targetPort: public", "    targetPort: public_port", "targetPort"},
		{dev(t), "  replicas: 1\n", "  replica: 1\n", "field not declared in schema"},
		{dev(t), "cpu: 100m", "cpu: 100q", "quantities must match"},
		{dev(t), "readOnly: true", "readOnly: true\n        - mountPath: /x\n          name: nowhere", "volumeMounts"},
		{prod(t), "  minReplicas: 2\n", "  minReplicas: 20\n", "maxReplicas"},
		{monitored(t), "- replacement: latchkey-$1", "- action: nothing", "Unsupported value"},
		{routed(t), "      port: 5001", "      port: 70000", "backendRefs"},
	} {
		i := slices.IndexFunc(documents(planted.in), func(document string) bool {
			return strings.Contains(document, planted.good)
		})
		if i < 0 {
			t.Errorf("%s has no %q", planted.in.name, planted.good)
			continue
		}
		spoiled := strings.Replace(documents(planted.in)[i], planted.good, planted.bad, 1)
		out, err := c.run(t, spoiled, "kubectl", "--namespace", "latchkey", "apply", "--server-side",
			"--dry-run=server", "--filename", "-")
		if err == nil || !strings.Contains(out, planted.complaint) {
			t.Errorf("%q instead of %q: %v\n%s", planted.bad, planted.good, err, out)
		}
	}
	c.must(t, withoutNamespace(dev(t)), "kubectl", "apply", "--filename", "-") // the ServiceAccounts of the pods
	pods := strings.ReplaceAll(podsOf(t, dev(t)), `"runAsNonRoot":true`, `"runAsNonRoot":false`)
	out, err := c.run(t, pods, "kubectl", "create", "--dry-run=server", "--filename", "-")
	if refused := strings.Count(out, "violates PodSecurity"); err == nil || refused != len(workloads(dev(t))) {
		t.Errorf("%d of %d pods that run as root are refused: %v\n%s", refused, len(workloads(dev(t))), err, out)
	}
	c.must(t, withoutNamespace(dev(t)), "kubectl", "delete", "--wait=false", "--filename", "-")
}

// up brings dev to the cluster, and again; a migration that fails keeps the services as they are.
func (s *controllers) up(t *testing.T) {
	script := inRoot(t, "deploy/kubernetes/up")
	secrets := s.makesSecrets(t, "latchkey")
	s.jobs(secrets)
	first := s.versioned(t, "first")
	s.must(t, "", script, first)
	if ended := s.ended(); len(ended) != 1+len(services) || ended[0] != "latchkey-secrets" {
		t.Errorf("these Jobs ran: %v", ended)
	}
	secretsNow := func() string {
		return s.must(t, "", "kubectl", "--namespace", "latchkey", "get", "secrets", "--output",
			"jsonpath={range .items[*]}{.metadata.name} {.data}{end}")
	}
	made := secretsNow()
	s.jobs(secrets)
	s.must(t, "", script, first)
	if secretsNow() != made || strings.Count(made, "latchkey-") < len(services) {
		t.Error("the secrets are not those that the first run made")
	}
	s.wantRights(t)
	s.jobs(failing("latchkey-license-migrate"))
	before := s.generations(t, "latchkey")
	out, err := s.run(t, "", script, s.versioned(t, "next"))
	if err == nil || !strings.Contains(out, "the stage migrate failed, so nothing after it was touched") {
		t.Errorf("with a failed migration: %v\n%s", err, out)
	}
	if after := s.generations(t, "latchkey"); after != before {
		t.Errorf("a failed migration changes the services:\n%s\n%s", before, after)
	}
}

// wantRights asks what the ServiceAccount of the secrets may do.
func (s *controllers) wantRights(t *testing.T) {
	t.Helper()
	for _, right := range []struct{ verb, what, want string }{
		{"create", "secrets", "yes"}, {"get", "secrets/latchkey-auth", "yes"}, {"get", "secrets/another", "no"},
		{"list", "secrets", "no"}, {"update", "secrets/latchkey-auth", "no"}, {"delete", "secrets/latchkey-auth", "no"},
		{"create", "pods", "no"},
	} {
		out, _ := s.run(t, "", "kubectl", "--namespace", "latchkey", "auth", "can-i", right.verb, right.what,
			"--as=system:serviceaccount:latchkey:latchkey-secrets")
		if strings.TrimSpace(out) != right.want {
			t.Errorf("may it %s %s? %s", right.verb, right.what, out)
		}
	}
}

// makesSecrets is what the Job of the secrets does, with the rights of its ServiceAccount.
func (s *controllers) makesSecrets(t *testing.T, namespace string) func(*batchv1.Job) error {
	t.Helper()
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", s.port)
	certificate, err := os.ReadFile(s.certificate())
	if err != nil {
		t.Fatal(err)
	}
	return func(job *batchv1.Job) error {
		prefix, makes := strings.CutSuffix(job.Name, "-secrets")
		if !makes {
			return nil
		}
		account := job.Spec.Template.Spec.ServiceAccountName
		token, err := s.run(t, "", "kubectl", "--namespace", namespace, "create", "token", account)
		if err != nil {
			return errors.New(token)
		}
		dir := t.TempDir()
		for name, content := range map[string]string{
			"token": token, "namespace": namespace, "ca.crt": string(certificate),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				return err
			}
		}
		api, err := kubesecrets.InCluster(dir)
		if err != nil {
			return err
		}
		return kubesecrets.Make(t.Context(), api, prefix, io.Discard)
	}
}

// failing is a Job that fails, among others that do nothing.
func failing(name string) func(*batchv1.Job) error {
	return func(job *batchv1.Job) error {
		if job.Name == name {
			return errors.New("the migration fails")
		}
		return nil
	}
}

// versioned is a kustomization of dev with the images of one version from a registry.
func (s *controllers) versioned(t *testing.T, tag string) string {
	t.Helper()
	folder := filepath.Join(copyManifests(t), "overlays", tag)
	text := "namespace: latchkey\nresources: [../dev]\nimages:\n"
	for _, service := range services {
		text += fmt.Sprintf("  - {name: latchkey/%s, newName: registry.example.com/%[1]s, newTag: %s}\n", service, tag)
	}
	if err := errors.Join(os.Mkdir(folder, 0o755),
		os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return folder
}

// generations tell what Deployments have been changed to.
func (c *cluster) generations(t *testing.T, namespace string) string {
	t.Helper()
	return c.must(t, "", "kubectl", "--namespace", namespace, "get", "deployments", "--output",
		`jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.spec.template.spec.containers[0].image}`+
			`{"\n"}{end}`)
}

// helm installs the chart for a try, upgrades it, and rolls it back; a migration that fails stops an upgrade.
func (s *controllers) helm(t *testing.T) {
	chart := inRoot(t, chartPath)
	helm := func(do, release string, args ...string) (out string, err error) {
		return s.run(t, "", "helm", append([]string{
			do, release, "--namespace", "helm", "--timeout", "2m",
		}, args...)...)
	}
	must := func(do string, args ...string) {
		t.Helper()
		if out, err := helm(do, "shop", args...); err != nil {
			t.Fatalf("helm %s: %v\n%s", do, err, out)
		}
	}
	example := filepath.Join(chart, "examples/1-minimal.yaml")
	s.jobs(s.makesSecrets(t, "helm"))
	must("install", chart, "--values", example, "--set", "image.tag=first")
	if ended := s.ended(); len(ended) != 1+len(services) || ended[0] != "shop-latchkey-secrets" {
		t.Errorf("these Jobs ran: %v", ended)
	}
	must("test")
	first := s.images(t)
	s.jobs(failing("shop-latchkey-license-migrate"))
	out, err := helm("upgrade", "shop", chart, "--values", example, "--set", "image.tag=next")
	if err == nil || !strings.Contains(out, "pre-upgrade hooks failed") {
		t.Errorf("an upgrade with a failed migration: %v\n%s", err, out)
	}
	if images := s.images(t); !maps.Equal(images, first) {
		t.Errorf("a failed migration changes the services to %v", images)
	}
	s.jobs(s.makesSecrets(t, "helm"))
	must("upgrade", chart, "--values", example, "--set", "image.tag=next")
	if images := s.images(t); images["ghcr.io/latchkey-dev/latchkey/license:next"] != 1 {
		t.Errorf("the upgrade leads to %v", images)
	}
	must("rollback", "1")
	if images := s.images(t); !maps.Equal(images, first) {
		t.Errorf("the rollback leads to %v, not to %v", images, first)
	}
	must("uninstall")
}

// images are those that the Deployments of the chart have.
func (s *controllers) images(t *testing.T) map[string]int {
	t.Helper()
	images := map[string]int{}
	for line := range strings.Lines(s.generations(t, "helm")) {
		fields := strings.Fields(line)
		images[fields[len(fields)-1]]++
	}
	return images
}
