//go:build unix

package kube

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/test/servers"
)

// envPrograms names the folder with etcd, kube-apiserver, kubectl, helm and custom resource definitions, which
// "scripts/kube --api-server" makes.
const envPrograms = "LATCHKEY_TEST_KUBERNETES"

// cluster is a private etcd and API server of Kubernetes. No controller, scheduler or kubelet is behind it.
type cluster struct {
	programs string
	group    *servers.Group
	port     string
	token    string // of a member of system:masters
	client   *http.Client
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{programs: os.Getenv(envPrograms), token: rand.Text()}
	if c.programs == "" {
		testkit.NotCovered(t, "there is no API server of Kubernetes: scripts/kube --api-server builds one")
	}
	ports, err := servers.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	if c.group, err = servers.NewGroup("apiserver"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.group.Close(); err != nil {
			t.Error(err)
		}
	})
	etcd, peer := "http://"+servers.Address(ports[0]), "http://"+servers.Address(ports[1])
	c.start(t, "etcd", etcd+"/health", "--data-dir="+c.group.Path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
	c.port = fmt.Sprint(ports[2])
	c.startAPIServer(t, etcd)
	c.writeKubeconfig(t)
	c.install(t)
	return c
}

// startAPIServer starts kube-apiserver with a certificate that it makes for itself, and waits until it is ready.
func (c *cluster) startAPIServer(t *testing.T, etcd string) {
	t.Helper()
	key, tokens := c.group.Path("account.key"), c.group.Path("tokens.csv")
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(made)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(tokens, []byte(c.token+",operator,operator,system:masters\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	c.client = &http.Client{Transport: &http.Transport{DialTLSContext: c.dial}}
	c.start(t, "kube-apiserver", c.url("/readyz"), "--etcd-servers="+etcd, "--bind-address=127.0.0.1",
		"--secure-port="+c.port, "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		"--cert-dir="+c.group.Dir, "--token-auth-file="+tokens, "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-signing-key-file="+key,
		"--service-account-key-file="+key, "--service-cluster-ip-range=10.0.0.0/24")
}

// dial trusts the certificate that the API server has made, which is there once it listens.
func (c *cluster) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	certificate, err := os.ReadFile(c.certificate())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(ctx, network, address)
}

func (c *cluster) certificate() string { return c.group.Path("apiserver.crt") }

func (c *cluster) url(path string) string { return "https://127.0.0.1:" + c.port + path }

// start starts a program and waits until it answers.
func (c *cluster) start(t *testing.T, name, url string, args ...string) {
	t.Helper()
	p, err := c.group.Start(name, exec.Command(filepath.Join(c.programs, name), args...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := p.Await(ctx, func(ctx context.Context) error {
		return c.call(ctx, http.MethodGet, url, nil, func(*http.Response) error { return nil })
	}); err != nil {
		t.Fatal(err)
	}
}

// call makes a request as an operator; read gets the answer if it is none of a failure.
func (c *cluster) call(ctx context.Context, method, url string, patch []byte, read func(*http.Response) error) error {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(patch))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/merge-patch+json")
	client := http.DefaultClient
	if request.URL.Scheme == "https" {
		client = c.client
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		said, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s %s: %s %s", method, url, response.Status, said)
	}
	return read(response)
}

func (c *cluster) writeKubeconfig(t *testing.T) {
	t.Helper()
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "private",
		"clusters": [{"name": "private", "cluster": {"server": %q, "certificate-authority": %q}}],
		"users": [{"name": "operator", "user": {"token": %q}}],
		"contexts": [{"name": "private", "context": {"cluster": "private", "user": "operator"}}]}`,
		c.url(""), c.certificate(), c.token)
	if err := os.WriteFile(c.group.Path("kubeconfig"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// install makes the custom resources known, and the namespaces with what controllers put into them.
func (c *cluster) install(t *testing.T) {
	t.Helper()
	c.must(t, "", "kubectl", "apply", "--server-side", "--filename", filepath.Join(c.programs, "crds"))
	c.must(t, "", "kubectl", "wait", "--for", "condition=established", "crd", "--all")
	c.must(t, "", "kubectl", "apply", "--filename", inRoot(t, "deploy/kubernetes/overlays/dev/namespace.yaml"))
	c.must(t, "", "kubectl", "create", "namespace", "helm")
	for _, namespace := range []string{"latchkey", "helm"} {
		c.must(t, "", "kubectl", "--namespace", namespace, "create", "serviceaccount", "default")
	}
}

// run runs kubectl, helm or a script of ours with what stdin has.
func (c *cluster) run(t *testing.T, stdin, program string, args ...string) (out string, err error) {
	t.Helper()
	if !filepath.IsAbs(program) {
		program = filepath.Join(c.programs, program)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "PATH="+c.programs+":"+os.Getenv("PATH"), "HOME="+c.group.Dir,
		"KUBECONFIG="+c.group.Path("kubeconfig"))
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// must runs what has to succeed.
func (c *cluster) must(t *testing.T, stdin, program string, args ...string) (out string) {
	t.Helper()
	out, err := c.run(t, stdin, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return out
}
