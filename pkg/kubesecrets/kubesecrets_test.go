package kubesecrets

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
)

// fakeAPI keeps Secrets as the API of Kubernetes does. refuse, if set, may answer a call instead.
type fakeAPI struct {
	mu      sync.Mutex
	secrets map[string]object
	refuse  func(w http.ResponseWriter, r *http.Request) bool
}

const collection = "/api/v1/namespaces/somewhere/secrets"

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch name := strings.TrimPrefix(r.URL.Path, collection+"/"); {
	case r.Header.Get("Authorization") != "Bearer the token":
		w.WriteHeader(http.StatusUnauthorized)
	case f.refuse != nil && f.refuse(w, r):
	case r.Method == http.MethodPost && r.URL.Path == collection:
		f.create(w, r)
	case r.Method == http.MethodGet && f.secrets[name].Kind == "Secret":
		_ = json.NewEncoder(w).Encode(f.secrets[name])
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"kind": "Status", "message": "secrets %q not found"}`, name)
	}
}

func (f *fakeAPI) create(w http.ResponseWriter, r *http.Request) {
	var made object
	if err := json.NewDecoder(r.Body).Decode(&made); err != nil || made.Kind != "Secret" || made.APIVersion != "v1" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if f.secrets[made.Metadata.Name].Kind != "" {
		w.WriteHeader(http.StatusConflict)
		return
	}
	made.Data = map[string][]byte{}
	for entry, value := range made.StringData {
		made.Data[entry] = []byte(value)
	}
	made.StringData = nil
	f.secrets[made.Metadata.Name] = made
	w.WriteHeader(http.StatusCreated)
}

// startCluster serves f with TLS and mounts a ServiceAccount for it.
func startCluster(t *testing.T, f *fakeAPI) *Cluster {
	t.Helper()
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", host)
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	dir := t.TempDir()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string]string{
		"token": "the token\n", "namespace": "somewhere", "ca.crt": string(certificate),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := InCluster(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newAPI() *fakeAPI { return &fakeAPI{secrets: map[string]object{}} }

func TestMakeMakesWhatServicesNeed(t *testing.T) {
	api := newAPI()
	var out strings.Builder
	if err := Make(t.Context(), startCluster(t, api), "shop", &out); err != nil {
		t.Fatal(err)
	}
	want := []string{"shop-admin", "shop-analytics", "shop-auth", "shop-license", "shop-peers", "shop-postgres",
		"shop-rabbitmq"}
	if got := slices.Sorted(maps.Keys(api.secrets)); !slices.Equal(got, want) {
		t.Fatalf("made %v, want %v", got, want)
	}
	peers, err := rpc.ParsePeers(strings.Split(string(api.secrets["shop-peers"].Data[peersKey]), ","))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, made := range api.secrets {
		for entry, value := range made.Data {
			if slices.Contains(all, string(value)) || len(value) < 40 {
				t.Errorf("%s of %s is used twice, or short", entry, made.Metadata.Name)
			}
			if strings.Contains(out.String(), string(value)) {
				t.Errorf("%s of %s is printed", entry, made.Metadata.Name)
			}
			all = append(all, string(value))
		}
	}
	for _, service := range app.Services() {
		key, err := rpc.ParseKey(string(api.secrets["shop-"+service].Data["internal_key"]))
		if err != nil || len(peers[service]) != 1 || !peers[service][0].Equal(key.Public()) {
			t.Errorf("%s is not known to its peers (%v)", service, err)
		}
	}
}

// TestMakeGoesOnWhereItStopped: what was made is used, whichever call is the first to fail.
func TestMakeGoesOnWhereItStopped(t *testing.T) {
	for calls := range 8 {
		t.Run(fmt.Sprint(calls), func(t *testing.T) {
			api, left := newAPI(), calls
			api.refuse = func(w http.ResponseWriter, _ *http.Request) bool {
				if left--; left >= 0 {
					return false
				}
				w.WriteHeader(http.StatusInternalServerError)
				return true
			}
			c := startCluster(t, api)
			if err := Make(t.Context(), c, "latchkey", io.Discard); (err == nil) != (calls >= 7) {
				t.Fatalf("with %d calls answered: %v", calls, err)
			}
			before := maps.Clone(api.secrets)
			api.refuse = nil
			for range 2 {
				if err := Make(t.Context(), c, "latchkey", io.Discard); err != nil {
					t.Fatal(err)
				}
			}
			wantKept(t, before, api.secrets)
		})
	}
}

func TestMakeBySeveralAtOnce(t *testing.T) {
	api := newAPI()
	c := startCluster(t, api)
	errs := make(chan error)
	for range 8 {
		go func() { errs <- Make(t.Context(), c, "latchkey", io.Discard) }()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wantKept(t, nil, api.secrets)
}

// wantKept wants the existing Secrets unchanged, and peers that know every service.
func wantKept(t *testing.T, before, after map[string]object) {
	t.Helper()
	for name, was := range before {
		if !maps.EqualFunc(was.Data, after[name].Data, slices.Equal) {
			t.Errorf("%s was changed", name)
		}
	}
	for _, service := range app.Services() {
		key, err := rpc.ParseKey(string(after["latchkey-"+service].Data["internal_key"]))
		if err != nil {
			t.Fatal(err)
		}
		entry := rpc.Identity{Service: service, Key: key}.PeerEntry()
		if peers := string(after["latchkey-peers"].Data[peersKey]); !strings.Contains(peers, entry) {
			t.Errorf("the peers %s lack %s", peers, entry)
		}
	}
}

func TestMakeSaysWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		api  *fakeAPI
		want string
	}{
		"forbidden": {&fakeAPI{refuse: func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"kind": "Status", "message": "secrets is forbidden: User cannot create"}`)
			return true
		}}, "make the Secret latchkey-auth: the API of Kubernetes answers 403: secrets is forbidden"},
		"no JSON": {&fakeAPI{refuse: func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}}, "answers 502 Bad Gateway"},
		"somebody's Secret": {&fakeAPI{secrets: map[string]object{"latchkey-auth": {
			Kind: "Secret", Data: map[string][]byte{"admin_secret": []byte("x"), "database_url": []byte("x")},
		}}}, "the Secret latchkey-auth exists, but without amqp_url"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Make(t.Context(), startCluster(t, test.api), "latchkey", io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestInClusterOutsideOfOne(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := InCluster(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no pod of Kubernetes") {
		t.Errorf("error %v", err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	if _, err := InCluster(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no ServiceAccount mounted") {
		t.Errorf("error %v", err)
	}
}
