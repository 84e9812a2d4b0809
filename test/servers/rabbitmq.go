//go:build unix

package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// RabbitMQ is a private RabbitMQ node with the management plugin.
type RabbitMQ struct {
	// URL of the virtual host "/", as the administrator guest.
	URL string
	// ManagementURL is where the HTTP API answers, with the credentials in it.
	ManagementURL string
	// Version is what the node says of itself, for example "3.10.8".
	Version string
	// Script is the program it runs from.
	Script string

	ports rabbitPorts
	group *Group
	node  *Process
}

type rabbitPorts struct{ amqp, management, distribution, epmd int }

// Settled waits until the definition of a queue is on the disk. RabbitMQ 3.10 acknowledges a declaration some time
// before it writes it: a queue that the node was killed right after is gone, and a quorum queue may be there without
// ever answering.
func (r *RabbitMQ) Settled(ctx context.Context, queue string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	written := func(pattern string) bool { return anyFileHas(r.group.Path("mnesia")+"/*/"+pattern, queue) }
	var since time.Time
	return r.node.Await(ctx, func(context.Context) error {
		defined := written("LATEST.LOG") || written("rabbit_durable_queue.DC*")
		quorum := written("quorum/*/*/config")
		if !defined || quorum && !(written("quorum/*/names.dets") && written("quorum/*/meta.dets")) {
			since = time.Time{}
			return fmt.Errorf("the queue %s is not on the disk yet", queue)
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < settleTime {
			return fmt.Errorf("the queue %s has just come to the disk", queue)
		}
		return nil
	})
}

// settleTime is how long a definition must have been on the disk: its parts are written one after the other.
const settleTime = 500 * time.Millisecond

// anyFileHas does not take the queue of the dead letters for the queue.
func anyFileHas(pattern, queue string) bool {
	files, _ := filepath.Glob(pattern) // the patterns are ours
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err == nil && bytes.Count(raw, []byte(queue)) > bytes.Count(raw, []byte(queue+".dead")) {
			return true
		}
	}
	return false
}

// StartRabbitMQ starts a new node from the installed programs; ErrNotInstalled when there are none.
func StartRabbitMQ(ctx context.Context) (*RabbitMQ, error) {
	script, epmd, err := rabbitPrograms()
	if err != nil {
		return nil, err
	}
	return retrying(ctx, func(ctx context.Context) (*RabbitMQ, error) {
		r := &RabbitMQ{Script: script}
		if err := r.create(ctx, epmd); err != nil {
			return nil, errors.Join(err, r.Stop())
		}
		return r, nil
	})
}

// PID of the node.
func (r *RabbitMQ) PID() int { return r.node.PID() }

// Kill ends the node as kill -9 does. Restart brings it back on the same data and ports.
func (r *RabbitMQ) Kill() { r.node.Kill() }

// ShutDown ends the node as SIGTERM does, which takes eight seconds. Unlike after Kill, what has just been declared is
// there again after Restart: RabbitMQ 3.10 can lose queues, and bindings of queues, of a node's first seconds, whatever
// is on the disk.
func (r *RabbitMQ) ShutDown() error {
	if !r.node.Stop(syscall.SIGTERM, startTimeout) {
		return errors.New("RabbitMQ did not end well after SIGTERM")
	}
	return nil
}

// Restart starts a node that has ended again and waits until it answers.
func (r *RabbitMQ) Restart(ctx context.Context) error {
	r.node.Kill()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return r.serve(ctx)
}

// Freeze stops the node where it is, as a half-open network does for those who look from outside: connections stay, the
// kernel accepts new ones, and nothing answers. Thaw ends that.
func (r *RabbitMQ) Freeze() error { return syscall.Kill(-r.node.PID(), syscall.SIGSTOP) }

// Thaw lets a frozen node go on.
func (r *RabbitMQ) Thaw() error { return syscall.Kill(-r.node.PID(), syscall.SIGCONT) }

// Stop ends the node and removes its data. It kills: the data goes anyway, and a graceful end takes eight seconds.
func (r *RabbitMQ) Stop() error {
	if r.group == nil {
		return nil
	}
	return r.group.Close()
}

func (r *RabbitMQ) create(ctx context.Context, epmd string) error {
	var err error
	if r.group, err = NewGroup("rabbitmq"); err != nil {
		return err
	}
	ports, err := FreePorts(4)
	if err != nil {
		return err
	}
	r.ports = rabbitPorts{amqp: ports[0], management: ports[1], distribution: ports[2], epmd: ports[3]}
	password := secret.New("") // programs in production refuse "guest"
	r.URL = "amqp://guest:" + password + "@" + Address(r.ports.amqp) + "/"
	r.ManagementURL = "http://guest:" + password + "@" + Address(r.ports.management)
	if err := r.writeConfig(password); err != nil {
		return err
	}
	// The Erlang name server is ours, so that nodes of others do not come to depend on one that ends with this node.
	names := exec.CommandContext(context.WithoutCancel(ctx), epmd, "-port", strconv.Itoa(r.ports.epmd), "-address",
		"127.0.0.1")
	if _, err := r.group.Start("epmd", names); err != nil {
		return err
	}
	return r.serve(ctx)
}

func (r *RabbitMQ) writeConfig(password string) error {
	config := fmt.Sprintf(`listeners.tcp.1 = %s
default_pass = %s
management.tcp.ip = 127.0.0.1
management.tcp.port = %d
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
collect_statistics_interval = 1000
`, Address(r.ports.amqp), password, r.ports.management)
	return errors.Join(
		os.Mkdir(r.group.Path("home"), 0o700),
		os.WriteFile(r.group.Path("rabbitmq.conf"), []byte(config), 0o600),
		os.WriteFile(r.group.Path("plugins"), []byte("[rabbitmq_management].\n"), 0o600),
	)
}

func (r *RabbitMQ) serve(ctx context.Context) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), r.Script)
	cmd.Dir = r.group.Dir
	cmd.Env = r.environ()
	node, err := r.group.Start("rabbitmq", cmd)
	if err != nil {
		return err
	}
	r.node = node
	return node.Await(ctx, r.ping)
}

// environ is the whole environment of the node: what users have set for nodes of their own must not reach ours.
func (r *RabbitMQ) environ() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + r.group.Path("home"),
		"RABBITMQ_NODENAME=latchkey-" + strconv.Itoa(r.ports.amqp) + "@localhost",
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(r.ports.distribution),
		"ERL_EPMD_PORT=" + strconv.Itoa(r.ports.epmd),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_MNESIA_BASE=" + r.group.Path("mnesia"),
		"RABBITMQ_LOG_BASE=" + r.group.Path("log"),
		"RABBITMQ_CONFIG_FILE=" + r.group.Path("rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + r.group.Path("advanced.config"),
		"RABBITMQ_CONF_ENV_FILE=" + r.group.Path("rabbitmq-env.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + r.group.Path("plugins"),
		"RABBITMQ_PID_FILE=" + r.group.Path("pid"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
	}
}

// pingRabbitMQ asks a broker for its version.
func pingRabbitMQ(url string) (version string, err error) {
	conn, err := amqp.DialConfig(url, amqp.Config{Dial: amqp.DefaultDial(2 * time.Second)})
	if err != nil {
		return "", err
	}
	version, _ = conn.Properties["version"].(string)
	return version, conn.Close()
}

// ping is satisfied when both the broker and the HTTP API answer.
func (r *RabbitMQ) ping(ctx context.Context) (err error) {
	if r.Version, err = pingRabbitMQ(r.URL); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.ManagementURL+"/api/overview", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("management API answers %s", response.Status)
	}
	return nil
}

// rabbitPrograms finds the server's own script, because the wrapper that Debian puts into PATH changes the user and
// drops the environment, and epmd.
func rabbitPrograms() (script, epmd string, err error) {
	script, ok := firstProgram("/usr/lib/rabbitmq/bin/rabbitmq-server",
		"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server",
		"/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server", "/usr/local/opt/rabbitmq/sbin/rabbitmq-server",
		"/opt/rabbitmq*/sbin/rabbitmq-server")
	if !ok {
		if script, err = exec.LookPath("rabbitmq-server"); err != nil || strings.HasPrefix(script, "/usr/sbin/") {
			return "", "", fmt.Errorf("RabbitMQ: %w (looked in /usr/lib/rabbitmq, /opt/rabbitmq, Homebrew and PATH)",
				ErrNotInstalled)
		}
	}
	if epmd, err = exec.LookPath("epmd"); err == nil {
		return script, epmd, nil
	}
	if epmd, ok = firstProgram("/usr/lib/erlang/erts-*/bin/epmd", "/usr/local/lib/erlang/erts-*/bin/epmd",
		"/opt/homebrew/lib/erlang/erts-*/bin/epmd"); ok {
		return script, epmd, nil
	}
	return "", "", fmt.Errorf("RabbitMQ: %w (epmd of Erlang was not found)", ErrNotInstalled)
}
