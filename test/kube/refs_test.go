//go:build unix

package kube

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/latchkey-dev/latchkey/pkg/kubesecrets"
)

// entries are the Secrets and ConfigMaps that pods can use, as "Secret name" to its entries.
type entries map[string][]string

// uses tells of every use of a Secret or a ConfigMap in a pod: what, and which entry; "" is any.
func uses(w workload, tell func(what, entry string)) {
	tellItems := func(what string, items []corev1.KeyToPath) {
		tell(what, "")
		for _, item := range items {
			tell(what, item.Key)
		}
	}
	for _, v := range w.spec.Volumes {
		switch {
		case v.Secret != nil:
			tellItems("Secret "+v.Secret.SecretName, v.Secret.Items)
		case v.ConfigMap != nil:
			tellItems("ConfigMap "+v.ConfigMap.Name, v.ConfigMap.Items)
		case v.Projected != nil:
			for _, source := range v.Projected.Sources {
				if source.Secret != nil {
					tellItems("Secret "+source.Secret.Name, source.Secret.Items)
				}
			}
		}
	}
	for _, c := range w.spec.Containers {
		for _, from := range c.EnvFrom {
			tell("ConfigMap "+from.ConfigMapRef.Name, "")
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil {
				tell("Secret "+e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key)
			}
		}
	}
}

// available is what is rendered, and what is made beside it: by the Job of the secrets, or by operators.
func available(t *testing.T, r rendered) entries {
	t.Helper()
	found := entries{}
	for _, c := range of[*corev1.ConfigMap](r) {
		found["ConfigMap "+c.Name] = slices.Collect(maps.Keys(c.Data))
	}
	for _, s := range of[*corev1.Secret](r) {
		found["Secret "+s.Name] = slices.Collect(maps.Keys(s.Data))
	}
	if len(of[*corev1.Secret](r)) == 0 {
		for name, data := range madeSecrets(t, r.prefix()) {
			part := strings.TrimPrefix(name, r.prefix()+"-")
			if server := part == "postgres" || part == "rabbitmq"; !server || !r.scales() {
				found["Secret "+r.secret(part)] = slices.Collect(maps.Keys(data))
			}
		}
	}
	return found
}

// madeSecrets are the Secrets that the Job makes.
func madeSecrets(t *testing.T, prefix string) map[string]map[string]string {
	t.Helper()
	api := newAPI()
	if err := kubesecrets.Make(t.Context(), api.cluster(t), prefix, io.Discard); err != nil {
		t.Fatal(err)
	}
	return api.secrets
}

func TestWhatPodsUseExists(t *testing.T) {
	for _, r := range everything(t) {
		have := available(t, r)
		for _, w := range workloads(r) {
			uses(w, func(what, entry string) {
				if has, ok := have[what]; !ok || entry != "" && !slices.Contains(has, entry) {
					t.Errorf("%s: %s %s uses %q of %s, which is not there", r.name, w.kind, w.name, entry, what)
				}
			})
			for _, file := range secretFiles(w) {
				if !slices.Contains(mountedFiles(w, have), file) {
					t.Errorf("%s: %s %s reads %s, which is not mounted", r.name, w.kind, w.name, file)
				}
			}
			if w.spec.ServiceAccountName != "" {
				named[*corev1.ServiceAccount](t, r, w.spec.ServiceAccountName)
			}
			wantVolumes(t, r, w)
		}
	}
}

// secretFiles are the files that the settings of a pod name.
func secretFiles(w workload) (files []string) {
	for _, c := range w.spec.Containers {
		for _, e := range c.Env {
			if strings.HasSuffix(e.Name, "_FILE") {
				files = append(files, e.Value)
			}
		}
	}
	return files
}

// mountedFiles are the files of Secrets in a pod.
func mountedFiles(w workload, have entries) (files []string) {
	add := func(path, secret string, items []corev1.KeyToPath) {
		for _, item := range items {
			files = append(files, path+"/"+item.Path)
		}
		if len(items) == 0 {
			for _, entry := range have["Secret "+secret] {
				files = append(files, path+"/"+entry)
			}
		}
	}
	for _, c := range w.spec.Containers {
		for _, m := range c.VolumeMounts {
			for _, v := range w.spec.Volumes {
				if v.Name == m.Name && v.Secret != nil {
					add(m.MountPath, v.Secret.SecretName, v.Secret.Items)
				}
				if v.Name == m.Name && v.Projected != nil {
					for _, source := range v.Projected.Sources {
						add(m.MountPath, source.Secret.Name, source.Secret.Items)
					}
				}
			}
		}
	}
	return files
}

// wantVolumes wants every volume mounted, and every mount from a volume or a claim.
func wantVolumes(t *testing.T, r rendered, w workload) {
	t.Helper()
	var have, mounted []string
	for _, v := range w.spec.Volumes {
		have = append(have, v.Name)
	}
	for _, s := range of[*appsv1.StatefulSet](r) {
		if s.Name == w.name {
			for _, claim := range s.Spec.VolumeClaimTemplates {
				have = append(have, claim.Name)
			}
		}
	}
	for _, c := range w.spec.Containers {
		for _, m := range c.VolumeMounts {
			mounted = append(mounted, m.Name)
		}
	}
	slices.Sort(have)
	slices.Sort(mounted)
	if !slices.Equal(have, mounted) {
		t.Errorf("%s: %s %s has the volumes %v and mounts %v", r.name, w.kind, w.name, have, mounted)
	}
}

// TestServicesSeeTheirOwnSecretsOnly: no pod mounts another service's Secret, but the two servers the URLs that they
// make their users of.
func TestServicesSeeTheirOwnSecretsOnly(t *testing.T) {
	for _, r := range everything(t) {
		for _, w := range workloads(r) {
			part := strings.TrimSuffix(w.labels[component], "-migrate")
			own := map[string]bool{"Secret " + r.secret(part): true, "Secret " + r.secret("peers"): true}
			uses(w, func(what, entry string) {
				known := own[what] || part == "postgres" && entry == "database_url" ||
					part == "rabbitmq" && entry == "amqp_url" ||
					part == "smoke-test" && (entry == "admin_secret" || entry == "admin_api_key") ||
					// with a hash
					len(of[*corev1.Secret](r)) > 0 && strings.HasPrefix(what, "Secret "+r.secret(part)+"-") ||
					len(of[*corev1.Secret](r)) > 0 && strings.HasPrefix(what, "Secret "+r.secret("peers")+"-")
				if entry != "" && !known && strings.HasPrefix(what, "Secret ") {
					t.Errorf("%s: %s reads %s of %s", r.name, w.name, entry, what)
				}
			})
		}
	}
}

// TestTheJobOfTheSecretsMayMakeThemAndNoMore compares its Role with what it asks for.
func TestTheJobOfTheSecretsMayMakeThemAndNoMore(t *testing.T) {
	for _, r := range everything(t) {
		roles := of[*rbacv1.Role](r)
		if r.scales() {
			if len(roles)+len(of[*rbacv1.RoleBinding](r)) > 0 {
				t.Errorf("%s gives somebody rights", r.name)
			}
			continue
		}
		if len(roles) != 1 || len(roles[0].Rules) != 2 {
			t.Fatalf("%s has the Roles %v", r.name, roles)
		}
		create, get := roles[0].Rules[0], roles[0].Rules[1]
		made := slices.Sorted(maps.Keys(madeSecrets(t, r.prefix())))
		if got := fmt.Sprint(create.Verbs, create.Resources, create.APIGroups); got != "[create] [secrets] []" {
			t.Errorf("%s: the Job may %s", r.name, got)
		}
		if got := fmt.Sprint(get.Verbs, get.Resources); got != "[get] [secrets]" ||
			!slices.Equal(slices.Sorted(slices.Values(get.ResourceNames)), made) {
			t.Errorf("%s: the Job may %s of %v, and makes %v", r.name, got, get.ResourceNames, made)
		}
		bindings := of[*rbacv1.RoleBinding](r)
		if len(bindings) != 1 || bindings[0].RoleRef.Name != roles[0].Name || len(bindings[0].Subjects) != 1 ||
			bindings[0].Subjects[0].Name != r.prefix()+"-secrets" || bindings[0].Subjects[0].Namespace == "" {
			t.Errorf("%s binds %+v", r.name, bindings)
		}
	}
}
