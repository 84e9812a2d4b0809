//go:build unix

package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/latchkey-dev/latchkey/test/servers"
	"github.com/latchkey-dev/latchkey/test/servers/serverstest"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// node runs the containers of what is rendered without a container engine: the built programs, with exactly the
// arguments, the environment and the files of their pods. Only names of hosts, ports and the root of the files become
// those of private servers and folders.
type node struct {
	rendered
	bin     string
	secrets map[string]map[string]string
	group   *servers.Group
	hosts   *strings.Replacer
	ports   map[string]string // address by service and name of the port, as auth/public
}

func startNode(t *testing.T, r rendered) *node {
	t.Helper()
	n := &node{
		rendered: r,
		secrets:  madeSecrets(t, r.prefix()),
		hosts:    strings.NewReplacer(),
		ports:    map[string]string{},
	}
	t.Setenv("GOWORK", "") // the programs are built in the workspace, as the images are
	var err error
	if n.bin, err = suite.Build(t.Context(), suite.Options{Root: inRoot(t, ".")}); err != nil {
		t.Fatal(err)
	}
	if n.group, err = servers.NewGroup("kube"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.group.Close(); err != nil {
			t.Error(err)
		}
	})
	n.startServers(t)
	return n
}

// startServers starts PostgreSQL and RabbitMQ, prepares them as their pods do, and maps the hosts.
func (n *node) startServers(t *testing.T) {
	t.Helper()
	postgres, rabbit := serverstest.PostgreSQL(t), serverstest.RabbitMQ(t)
	n.createDatabase(t, postgres)
	n.importDefinitions(t, rabbit)

	free, err := servers.FreePorts(2 * len(services))
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{
		n.prefix() + "-postgres:5432", postgres.Host(), n.prefix() + "-rabbitmq:5672", rabbit.Host(),
	}
	for i, service := range services {
		for j, port := range []string{"public", "internal"} {
			address := servers.Address(free[2*i+j])
			n.ports[service+"/"+port] = address
			s := named[*corev1.Service](t, n.rendered,
				n.prefix()+"-"+service+map[string]string{"internal": "-internal"}[port])
			listens := fmt.Sprintf(":%d", s.Spec.Ports[0].Port)
			hosts = append(hosts, s.Name+listens, address, listens, address)
		}
	}
	n.hosts = strings.NewReplacer(hosts...)
}

// createDatabase does what the postgres image does on its first start.
func (n *node) createDatabase(t *testing.T, postgres *servers.PostgreSQL) {
	t.Helper()
	pod := n.workload(t, "StatefulSet", "postgres")
	environ, root := n.mount(t, pod)
	database := environment(t, n.rendered, pod.spec.Containers[0])["POSTGRES_DB"]
	script := filepath.Join(root, "docker-entrypoint-initdb.d/roles.sh")
	if err := postgres.Initialize(t.Context(), database, script, environ); err != nil {
		t.Fatal(err)
	}
}

// importDefinitions gives the broker what the script that starts its pod makes.
func (n *node) importDefinitions(t *testing.T, rabbit *servers.RabbitMQ) {
	t.Helper()
	environ, root := n.mount(t, n.workload(t, "StatefulSet", "rabbitmq"))
	script := exec.Command("sh", filepath.Join(root, "etc/latchkey/definitions.sh"))
	script.Env = append(environ, "PATH="+os.Getenv("PATH"))
	definitions, err := script.Output()
	if err != nil {
		t.Fatal("definitions.sh: ", err)
	}
	if err := rabbit.Import(t.Context(), definitions); err != nil {
		t.Fatal(err)
	}
}

func (n *node) workload(t *testing.T, kind, part string) workload {
	t.Helper()
	for _, w := range workloads(n.rendered) {
		if w.kind == kind && w.labels[component] == part {
			return w
		}
	}
	t.Fatalf("%s has no %s of %s", n.name, kind, part)
	return workload{}
}

// mount writes the files of a pod below a folder, which it returns with the environment of its first container.
func (n *node) mount(t *testing.T, w workload) (environ []string, root string) {
	t.Helper()
	root, c := n.group.Path(w.name), w.spec.Containers[0]
	var paths []string
	for _, m := range c.VolumeMounts {
		paths = append(paths, m.MountPath+"/", filepath.Join(root, m.MountPath)+"/")
		for _, v := range w.spec.Volumes {
			if v.Name == m.Name {
				n.fill(t, filepath.Join(root, m.MountPath), v)
			}
		}
	}
	inRoot := strings.NewReplacer(paths...)
	for name, value := range environment(t, n.rendered, c) {
		environ = append(environ, name+"="+inRoot.Replace(n.hosts.Replace(value)))
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil {
			from := e.ValueFrom.SecretKeyRef
			environ = append(environ, e.Name+"="+n.secrets[from.Name][from.Key])
		}
	}
	return environ, root
}

// fill writes the files of a volume.
func (n *node) fill(t *testing.T, dir string, v corev1.Volume) {
	t.Helper()
	put := func(data map[string]string, items []corev1.KeyToPath, mode *int32) {
		if len(items) == 0 {
			for key := range data {
				items = append(items, corev1.KeyToPath{Key: key, Path: key})
			}
		}
		for _, item := range items {
			file := filepath.Join(dir, item.Path)
			content := n.hosts.Replace(data[item.Key])
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755),
				os.WriteFile(file, []byte(content), os.FileMode(*mode))); err != nil {
				t.Fatal(err)
			}
		}
	}
	usual := int32(0o644)
	switch {
	case v.Secret != nil:
		put(n.secrets[v.Secret.SecretName], v.Secret.Items, v.Secret.DefaultMode)
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			put(n.secrets[source.Secret.Name], source.Secret.Items, v.Projected.DefaultMode)
		}
	case v.ConfigMap != nil:
		mode := v.ConfigMap.DefaultMode
		if mode == nil {
			mode = &usual
		}
		put(named[*corev1.ConfigMap](t, n.rendered, v.ConfigMap.Name).Data, v.ConfigMap.Items, mode)
	}
}

// command is what the container of a pod runs. The entrypoint of our images is the program of the service.
func (n *node) command(t *testing.T, w workload) *exec.Cmd {
	t.Helper()
	c := w.spec.Containers[0]
	image, _, _ := strings.Cut(path.Base(c.Image), ":")
	environ, root := n.mount(t, w)
	var args []string
	for _, arg := range c.Args {
		args = append(args, strings.ReplaceAll(n.hosts.Replace(arg), "=/run/", "="+root+"/run/"))
	}
	cmd := exec.Command(filepath.Join(n.bin, image), args...)
	cmd.Env = environ
	return cmd
}

// probe asks what the kubelet asks.
func (n *node) probe(ctx context.Context, service string, p *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.TimeoutSeconds)*time.Second)
	defer cancel()
	address := "http://" + n.ports[service+"/"+p.HTTPGet.Port.String()] + p.HTTPGet.Path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 400 {
		return fmt.Errorf("%s answers %s", address, response.Status)
	}
	return nil
}

// up runs every migration to its end, and then every service until its probes are content.
func (n *node) up(t *testing.T) map[string]*servers.Process {
	t.Helper()
	for _, job := range of[*batchv1.Job](n.rendered) {
		if service, ok := strings.CutSuffix(job.Spec.Template.Labels[component], "-migrate"); ok {
			if out, err := n.command(t, n.workload(t, "Job", service+"-migrate")).CombinedOutput(); err != nil {
				t.Fatalf("the migration of %s: %v\n%s", service, err, out)
			}
		}
	}
	running := map[string]*servers.Process{}
	for _, service := range services {
		w := n.workload(t, "Deployment", service)
		p, err := n.group.Start(service, n.command(t, w))
		if err != nil {
			t.Fatal(err)
		}
		running[service] = p
		c := w.spec.Containers[0]
		ctx, cancel := context.WithTimeout(t.Context(),
			time.Duration(c.StartupProbe.PeriodSeconds*c.StartupProbe.FailureThreshold)*time.Second)
		defer cancel()
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if err := p.Await(ctx, func(ctx context.Context) error {
				return n.probe(ctx, service, probe)
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return running
}
