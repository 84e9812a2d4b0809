//go:build unix

package kube

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// allowed tells what NetworkPolicies say to TCP connections: each end that a policy selects needs one that allows it.
func allowed(t *testing.T, r rendered, from, to end) func(port int32) bool {
	t.Helper()
	selected := map[networkingv1.PolicyType]bool{}
	var out, in [][]networkingv1.NetworkPolicyPort
	for _, p := range of[*networkingv1.NetworkPolicy](r) {
		sends, receives := holds(t, p, from), holds(t, p, to)
		for _, policyType := range p.Spec.PolicyTypes {
			about := policyType == networkingv1.PolicyTypeEgress && sends ||
				policyType == networkingv1.PolicyTypeIngress && receives
			selected[policyType] = selected[policyType] || about
		}
		for _, rule := range p.Spec.Egress {
			if sends && fits(t, rule.To, to) {
				out = append(out, rule.Ports)
			}
		}
		for _, rule := range p.Spec.Ingress {
			if receives && fits(t, rule.From, from) {
				in = append(in, rule.Ports)
			}
		}
	}
	return func(port int32) bool {
		opened := func(rules [][]networkingv1.NetworkPolicyPort) bool {
			return slices.ContainsFunc(rules, func(ports []networkingv1.NetworkPolicyPort) bool {
				return opens(ports, port)
			})
		}
		return (!selected[networkingv1.PolicyTypeEgress] || opened(out)) &&
			(!selected[networkingv1.PolicyTypeIngress] || opened(in))
	}
}

// holds reports whether a policy is about a pod.
func holds(t *testing.T, p *networkingv1.NetworkPolicy, e end) bool {
	t.Helper()
	if e.elsewhere || e.namespace != "" {
		return false
	}
	empty := len(p.Spec.PodSelector.MatchLabels)+len(p.Spec.PodSelector.MatchExpressions) == 0
	return empty || selects(t, &p.Spec.PodSelector, e.labels)
}

// fits reports whether an end is among the peers of a rule; no peers are everybody.
func fits(t *testing.T, peers []networkingv1.NetworkPolicyPeer, e end) bool {
	t.Helper()
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		switch {
		case e.elsewhere || p.IPBlock != nil:
			return e.elsewhere && p.IPBlock != nil && e.within(p.IPBlock)
		case p.NamespaceSelector != nil:
			name := labels.Set{"kubernetes.io/metadata.name": e.namespace}
			return selects(t, p.NamespaceSelector, name) &&
				(p.PodSelector == nil || selects(t, p.PodSelector, e.labels))
		}
		return e.namespace == "" && selects(t, p.PodSelector, e.labels)
	})
}

// opens reports whether a rule is about a TCP port; no ports are all of them.
func opens(ports []networkingv1.NetworkPolicyPort, port int32) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		tcp := p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP
		return tcp && (p.Port == nil || p.Port.IntVal == port)
	})
}

// within reports whether some public address is in a block.
func (e end) within(block *networkingv1.IPBlock) bool {
	return !strings.HasPrefix(block.CIDR, "169.254.")
}
