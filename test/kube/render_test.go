//go:build unix

// Package kube tests deploy/kubernetes and deploy/helm: it renders every overlay, example and set of values, checks on
// the objects what they promise, and runs the built programs as a rendered Deployment says. It is a module outside of
// the workspace, so that the libraries of Kubernetes choose no version for the services.
package kube

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// rendered is what is applied to a cluster.
type rendered struct {
	name    string
	objects []object
	stream  string // as it is applied
	// secrets are the names of the Secrets from outside that are not called as usual, by what they are for.
	secrets map[string]string
}

// secret is the name of the Secret for a service, a server or the public keys.
func (r rendered) secret(part string) string {
	if name := r.secrets[part]; name != "" {
		return name
	}
	return r.prefix() + "-" + part
}

type object interface {
	runtime.Object
	metav1.Object
}

// strict decodes the kinds that we use, and refuses members that they do not have and members given twice.
var strict = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme,
		gatewayv1.Install, monitoringv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}()

// decode decodes the documents of a YAML stream.
func decode(t *testing.T, name string, stream []byte) rendered {
	t.Helper()
	r := rendered{name: name, stream: string(stream)}
	documents := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(stream)))
	defer documents.Close()
	buffer := make([]byte, len(stream)+1)
	for {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimSpace(buffer[:n])) == 0 {
			continue
		}
		decoded, _, err := strict.Decode(buffer[:n], nil, nil)
		if err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, buffer[:n])
		}
		o, ok := decoded.(object)
		if !ok {
			t.Fatalf("%s: %T is no object", name, decoded)
		}
		r.objects = append(r.objects, o)
	}
}

// everything is all that is rendered here, each of it once.
func everything(t *testing.T) []rendered {
	t.Helper()
	return append([]rendered{dev(t), prod(t), production(t), routed(t), published(t), monitored(t)}, examples(t)...)
}

var (
	dev        = once(func(t *testing.T) rendered { return kustomize(t, "overlays/dev") })
	prod       = once(func(t *testing.T) rendered { return kustomize(t, "overlays/prod") })
	production = once(renderProduction)
	routed     = once(func(t *testing.T) rendered { return prodWith(t, "HTTPRoutes", "gateway", "gateway-admin") })
	published  = once(func(t *testing.T) rendered {
		return prodWith(t, "Ingresses", "ingress", "ingress-admin", "edge")
	})
	monitored = once(func(t *testing.T) rendered {
		return prodWith(t, "Prometheus", "monitoring", "prometheus-operator", "traces")
	})
	examples = once(renderExamples)
)

// once keeps what a test has rendered for the next.
func once[T any](render func(t *testing.T) T) func(t *testing.T) T {
	var done sync.Once
	var r T
	return func(t *testing.T) T {
		t.Helper()
		done.Do(func() { r = render(t) })
		return r
	}
}

// kustomize renders a folder of deploy/kubernetes.
func kustomize(t *testing.T, folder string) rendered {
	t.Helper()
	return build(t, inRoot(t, "deploy/kubernetes/"+folder), folder)
}

func build(t *testing.T, path, name string) rendered {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	stream, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, name, stream)
}

// renderProduction renders examples/production with the secrets of deploy/make-secrets, in a copy: git has none.
func renderProduction(t *testing.T) rendered {
	t.Helper()
	copied := copyManifests(t)
	component := filepath.Join(copied, "components/secrets-from-files")
	if out, err := exec.Command(inRoot(t, "deploy/make-secrets"), component).CombinedOutput(); err != nil {
		t.Fatalf("deploy/make-secrets: %v\n%s", err, out)
	}
	return build(t, filepath.Join(copied, "examples/production"), "examples/production")
}

// copyManifests copies deploy/kubernetes, and what it takes from beside it, and returns the copy's path.
func copyManifests(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, folder := range []string{"kubernetes", "observability", "postgres", "rabbitmq"} {
		source := committed{os.DirFS(inRoot(t, "deploy/"+folder))}
		if err := os.CopyFS(filepath.Join(root, folder), source); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, "kubernetes")
}

// committed hides the secrets that a developer made beside the component.
type committed struct{ fs.FS }

func (c committed) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(c.FS, name)
	kept := entries[:0]
	for _, entry := range entries {
		if entry.Name() != "secrets" && entry.Name() != ".env" {
			kept = append(kept, entry)
		}
	}
	return kept, err
}

// inRoot is a path in the root of the repository.
func inRoot(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return full
}

// of are the objects of one kind.
func of[T object](r rendered) (found []T) {
	for _, o := range r.objects {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// named is the object of a kind and name, which must be there.
func named[T object](t *testing.T, r rendered, name string) T {
	t.Helper()
	for _, o := range of[T](r) {
		if o.GetName() == name {
			return o
		}
	}
	var none T
	t.Fatalf("%s has no %T called %s", r.name, none, name)
	return none
}

// prodWith renders prod with components, in a copy.
func prodWith(t *testing.T, name string, components ...string) rendered {
	t.Helper()
	copied := copyManifests(t)
	folder := filepath.Join(copied, "overlays/with")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "namespace: latchkey\nresources: [../prod]\ncomponents:\n"
	for _, c := range components {
		text += "  - ../../components/" + c + "\n"
	}
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return build(t, folder, "prod with "+name)
}
