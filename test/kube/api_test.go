//go:build unix

package kube

import (
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/latchkey-dev/latchkey/pkg/kubesecrets"
)

// fakeAPI takes new Secrets as the API of Kubernetes does.
type fakeAPI struct {
	mu      sync.Mutex
	secrets map[string]map[string]string
}

func newAPI() *fakeAPI { return &fakeAPI{secrets: map[string]map[string]string{}} }

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var made corev1.Secret
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&made); err != nil || r.Method != http.MethodPost ||
		r.URL.Path != "/api/v1/namespaces/latchkey/secrets" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets[made.Name] = made.StringData
	w.WriteHeader(http.StatusCreated)
}

// cluster is what a pod finds of the API.
func (f *fakeAPI) cluster(t *testing.T) *kubesecrets.Cluster {
	t.Helper()
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", host)
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	dir := t.TempDir()
	for name, content := range map[string]string{
		"token": "token", "namespace": "latchkey", "ca.crt": string(certificate),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cluster, err := kubesecrets.InCluster(dir)
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}
