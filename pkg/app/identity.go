package app

import (
	"crypto/ed25519"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Internal is the identity of the named service, and the public keys of peers whose calls it accepts.
func (b Base) Internal(service string) (rpc.Identity, rpc.Peers, error) {
	key, err := rpc.ParseKey(b.InternalKey.Reveal())
	if err != nil {
		return rpc.Identity{}, nil, problemOf(&b, &b.InternalKey, err)
	}
	peers, err := rpc.ParsePeers(b.InternalPeers)
	return rpc.Identity{Service: service, Key: key}, peers, problemOf(&b, &b.InternalPeers, err)
}

// Introduce gives the service the identity id and peers, in place of settings: for processes that make their own, and
// tests.
func (b *Base) Introduce(id rpc.Identity, peers ...rpc.Identity) {
	b.InternalKey, b.InternalPeers = secret.Secret(rpc.FormatKey(id.Key)), nil
	for _, peer := range peers {
		b.InternalPeers = append(b.InternalPeers, peer.PeerEntry())
	}
}

func (b Base) checkIdentity() error {
	err := b.checkKey(&b, &b.InternalKey, "make a pair of keys with the command internal-key")
	if err != nil {
		return err
	}
	if len(b.InternalPeers) == 0 {
		return config.Problemf(&b, &b.InternalPeers,
			"is missing; set it to the public keys of all services, such as license:<base64>,admin:<base64>")
	}
	peers, err := rpc.ParsePeers(b.InternalPeers)
	if err != nil {
		return problemOf(&b, &b.InternalPeers, err)
	}
	return b.checkPeers(peers)
}

// checkPeers finds a public key whose private half everybody can know.
func (b Base) checkPeers(peers rpc.Peers) error {
	for service, keys := range peers {
		if b.Env == Production && slices.ContainsFunc(keys, func(key ed25519.PublicKey) bool {
			return secret.PublishedKey(key)
		}) {
			return config.Problemf(&b, &b.InternalPeers, "has a key of %s that %s", service, secret.IsPublished)
		}
	}
	return nil
}

// Services names the services of the suite, which are those that a list of peers may name.
func Services() []string { return []string{"auth", "license", "analytics", "admin"} }

// CheckKnownToPeers finds a list of peers that names a service that there is not, or lacks the key of the named
// service: the lists are the same everywhere, so its calls would be refused.
func (b Base) CheckKnownToPeers(service string) error {
	id, peers, err := b.Internal(service)
	if err != nil {
		return nil // what is wrong with the form, Validate tells
	}
	for name := range peers {
		if name != service && !slices.Contains(Services(), name) {
			return config.Problemf(&b, &b.InternalPeers, "names %q, not a service; there are %s",
				name, strings.Join(Services(), ", "))
		}
	}
	if peers.Knows(id) {
		return nil
	}
	return config.Problemf(&b, &b.InternalKey,
		"has a public half that LATCHKEY_INTERNAL_PEERS does not list: add %s there, on all services, before the "+
			"key is used", id.PeerEntry())
}

// public reports whether others than this computer can reach an address.
func public(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}
