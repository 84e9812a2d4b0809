//go:build unix

package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// controllers stand in for those of a cluster and for its kubelets, by what they write into the status of objects:
// Deployments have the replicas that they ask for, pods and Jobs succeed.
type controllers struct {
	*cluster
	mu  sync.Mutex
	do  func(*batchv1.Job) error // what a Job does, nil for nothing
	ran []string                 // the names of the Jobs that have ended
}

func (c *cluster) startControllers(t *testing.T) *controllers {
	t.Helper()
	s := &controllers{cluster: c}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	for path, seen := range map[string]func(context.Context, json.RawMessage) error{
		"/apis/batch/v1/jobs":        s.endJob,
		"/apis/apps/v1/deployments":  s.rollOut,
		"/apis/apps/v1/statefulsets": s.startStatefulSet,
		"/api/v1/pods":               s.endPod,
	} {
		wg.Go(func() {
			if err := s.watch(ctx, path, seen); err != nil && ctx.Err() == nil {
				t.Errorf("watch %s: %v", path, err)
			}
		})
	}
	return s
}

// jobs says what Jobs do from now on, and forgets those that have ended.
func (s *controllers) jobs(do func(*batchv1.Job) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do, s.ran = do, nil
}

// ended are the Jobs that have ended since then, in their order.
func (s *controllers) ended() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ran)
}

// watch calls seen with each object of a kind, and with each change of one.
func (c *cluster) watch(ctx context.Context, path string, seen func(context.Context, json.RawMessage) error) error {
	return c.call(ctx, http.MethodGet, c.url(path+"?watch=1"), nil, func(response *http.Response) error {
		changes := json.NewDecoder(response.Body)
		for {
			var change struct {
				Type   string
				Object json.RawMessage
			}
			if err := changes.Decode(&change); err != nil {
				return err
			}
			if change.Type == "ADDED" || change.Type == "MODIFIED" {
				if err := seen(ctx, change.Object); err != nil {
					return err
				}
			}
		}
	})
}

// patchStatus writes the status of an object, if it is still there.
func (c *cluster) patchStatus(ctx context.Context, o object, resource string, status any) error {
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	path := fmt.Sprintf("%s/namespaces/%s/%s/%s/status", apis[resource], o.GetNamespace(), resource, o.GetName())
	err = c.call(ctx, http.MethodPatch, c.url(path), patch, func(*http.Response) error { return nil })
	if err != nil && strings.Contains(err.Error(), "404") {
		return nil
	}
	return err
}

var apis = map[string]string{
	"jobs": "/apis/batch/v1", "deployments": "/apis/apps/v1", "statefulsets": "/apis/apps/v1", "pods": "/api/v1",
}

func (s *controllers) endJob(ctx context.Context, raw json.RawMessage) error {
	var job batchv1.Job
	if err := json.Unmarshal(raw, &job); err != nil || len(job.Status.Conditions) > 0 {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var failure error
	if s.do != nil {
		failure = s.do(&job)
	}
	s.ran = append(s.ran, job.Name)
	now := time.Now().UTC().Format(time.RFC3339)
	status := map[string]any{"startTime": now}
	conditions := []string{"FailureTarget", "Failed"}
	if failure == nil {
		conditions = []string{"SuccessCriteriaMet", "Complete"}
		status["completionTime"], status["succeeded"] = now, 1
	}
	var all []map[string]any
	for _, condition := range conditions {
		all = append(all, map[string]any{
			"type": condition, "status": "True", "lastTransitionTime": now, "reason": "Test",
			"message": fmt.Sprint(failure),
		})
	}
	status["conditions"] = all
	return s.patchStatus(ctx, &job, "jobs", status)
}

func (s *controllers) rollOut(ctx context.Context, raw json.RawMessage) error {
	var d appsv1.Deployment
	if err := json.Unmarshal(raw, &d); err != nil || d.Status.ObservedGeneration == d.Generation {
		return err
	}
	n := *d.Spec.Replicas
	return s.patchStatus(ctx, &d, "deployments", appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
	})
}

func (s *controllers) startStatefulSet(ctx context.Context, raw json.RawMessage) error {
	var set appsv1.StatefulSet
	if err := json.Unmarshal(raw, &set); err != nil || set.Status.ObservedGeneration == set.Generation {
		return err
	}
	n := *set.Spec.Replicas
	return s.patchStatus(ctx, &set, "statefulsets", appsv1.StatefulSetStatus{
		ObservedGeneration: set.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n,
		CurrentRevision: "1", UpdateRevision: "1",
	})
}

func (s *controllers) endPod(ctx context.Context, raw json.RawMessage) error {
	var pod corev1.Pod
	if err := json.Unmarshal(raw, &pod); err != nil || pod.Status.Phase == corev1.PodSucceeded {
		return err
	}
	return s.patchStatus(ctx, &pod, "pods", corev1.PodStatus{Phase: corev1.PodSucceeded})
}
