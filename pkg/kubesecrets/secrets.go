// Package kubesecrets makes the secrets of a suite that runs on Kubernetes together with its PostgreSQL and RabbitMQ,
// as deploy/make-secrets does for Docker Compose: a Secret for each service, one for each server, and one with the
// public keys of all services.
package kubesecrets

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// peersKey is the entry with the public keys: it is used as an environment variable of this name.
const peersKey = "LATCHKEY_INTERNAL_PEERS"

// Make makes the Secrets, whose names begin with prefix and a dash, and tells out which there are. Those that exist
// stay as they are, so it may be run again, also after it was interrupted, and by several at once.
func Make(ctx context.Context, c *Cluster, prefix string, out io.Writer) error {
	var peers []string
	for _, service := range app.Services() {
		data, err := ensure(ctx, c, out, prefix+"-"+service, ofService(service, prefix))
		if err != nil {
			return err
		}
		key, err := rpc.ParseKey(strings.TrimSpace(data["internal_key"]))
		if err != nil {
			return fmt.Errorf("internal_key of the Secret %s-%s %w", prefix, service, err)
		}
		peers = append(peers, rpc.Identity{Service: service, Key: key}.PeerEntry())
	}
	for name, data := range map[string]map[string]string{
		"postgres": {"postgres_password": password()},
		"rabbitmq": {"operator_password": password()},
		"peers":    {peersKey: strings.Join(peers, ",")},
	} {
		if _, err := ensure(ctx, c, out, prefix+"-"+name, data); err != nil {
			return err
		}
	}
	return nil
}

// ensure makes a Secret, or reads the one that exists, which must have the same entries.
func ensure(
	ctx context.Context, c *Cluster, out io.Writer, name string, data map[string]string,
) (map[string]string, error) {
	made, err := c.create(ctx, name, data)
	switch {
	case err != nil:
		return nil, err
	case made:
		_, err := fmt.Fprintf(out, "Secret %s: made\n", name)
		return data, err
	}
	found, err := c.get(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, entry := range slices.Sorted(maps.Keys(data)) {
		if found[entry] == "" {
			return nil, fmt.Errorf("the Secret %s exists, but without %s: add that, or delete the Secret if nothing "+
				"was ever stored with it", name, entry)
		}
	}
	_, err = fmt.Fprintf(out, "Secret %s: exists\n", name)
	return found, err
}

// ofService are the secrets of a service: what its settings read from files, by the names of these.
func ofService(service, prefix string) map[string]string {
	data := map[string]string{
		"internal_key": rpc.FormatKey(rpc.NewIdentity(service).Key),
		"database_url": fmt.Sprintf("postgres://latchkey_%s:%s@%s-postgres:5432/latchkey?sslmode=disable",
			service, password(), prefix),
		"amqp_url": fmt.Sprintf("amqp://%s:%s@%s-rabbitmq:5672/latchkey", service, password(), prefix),
	}
	if service != "analytics" {
		data["master_key"] = base64.StdEncoding.EncodeToString(random())
	}
	switch service {
	case "auth":
		data["admin_secret"] = secret.New("as_")
	case "admin":
		data["admin_api_key"] = secret.New("ak_")
	}
	return data
}

// password is in URLs as it is.
func password() string { return hex.EncodeToString(random()) }

func random() []byte {
	b := make([]byte, 32)
	rand.Read(b) // never fails: it ends the program instead
	return b
}
