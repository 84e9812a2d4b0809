//go:build unix

package servers

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"

	"github.com/jackc/pgx/v5"
)

// Host is where the server listens, as host:port.
func (p *PostgreSQL) Host() string { return Address(p.port) }

// Host is where the node listens for AMQP, as host:port.
func (r *RabbitMQ) Host() string { return Address(r.ports.amqp) }

// Initialize does what the image of PostgreSQL does on its first start: it makes the superuser postgres and a database,
// and runs the script that is mounted for it with the environment of the container.
func (p *PostgreSQL) Initialize(ctx context.Context, database, script string, environ []string) error {
	conn, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{
		"CREATE DATABASE " + pgx.Identifier{database}.Sanitize(), "CREATE ROLE postgres SUPERUSER LOGIN",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	host, port, err := net.SplitHostPort(p.Host())
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", script)
	cmd.Env = append(environ, "PATH="+p.Bin+":"+os.Getenv("PATH"), "PGHOST="+host, "PGPORT="+port)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", script, err, out)
	}
	return nil
}

// Import has the node take definitions of users, permissions and queues, as it does when they are mounted.
func (r *RabbitMQ) Import(ctx context.Context, definitions []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.ManagementURL+"/api/definitions",
		bytes.NewReader(definitions))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("the broker refuses the definitions: %s", response.Status)
	}
	return nil
}
