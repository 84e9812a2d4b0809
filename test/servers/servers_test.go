//go:build unix

package servers_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/test/servers"
	"github.com/latchkey-dev/latchkey/test/servers/serverstest"
)

// helper names the environment variable under which this test binary starts a server and waits to be killed.
const helper = "LATCHKEY_SERVERS_HELPER"

// starts are what the helper can start; they return the server's URL.
var starts = map[string]func(context.Context) (string, error){
	"postgres": func(ctx context.Context) (string, error) {
		p, err := servers.StartPostgreSQL(ctx, servers.Options{})
		if err != nil {
			return "", err
		}
		return p.URL, nil
	},
	"amqp": func(ctx context.Context) (string, error) { // ignores SIGQUIT, unlike PostgreSQL
		r, err := servers.StartRabbitMQ(ctx)
		if err != nil {
			return "", err
		}
		return r.URL, nil
	},
}

func TestMain(m *testing.M) {
	start := starts[os.Getenv(helper)]
	if start == nil {
		os.Exit(m.Run())
	}
	url, err := start(context.Background())
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(url)
	select {}
}

func TestPostgreSQLKeepsCommittedRowsOverKill(t *testing.T) {
	ctx := t.Context()
	p, err := servers.StartPostgreSQL(ctx, servers.Options{})
	serverstest.Require(t, err)
	exec := func(sql string) (rows int64) {
		conn, err := pgx.Connect(ctx, p.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		tag, err := conn.Exec(ctx, sql)
		if err != nil {
			t.Fatal(err)
		}
		return tag.RowsAffected()
	}
	exec("CREATE TABLE kept (n int)")
	exec("INSERT INTO kept VALUES (1), (2)")
	p.Kill()
	if _, err := pgx.Connect(ctx, p.URL); err == nil {
		t.Fatal("a killed server answers")
	}
	if err := p.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if n := exec("DELETE FROM kept"); n != 2 {
		t.Errorf("%d rows after kill and restart, want 2", n)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	wantNobodyListening(t, p.URL)
}

func TestRabbitMQKeepsMessagesOverKill(t *testing.T) {
	// RabbitMQ 3.10 itself can lose a queue that was declared in the first seconds of a node's life, whatever is on the
	// disk. What is tested is that Kill and Restart keep the data: once is proof.
	const attempts = 3
	for attempt := 1; ; attempt++ {
		err := keptOverKill(t)
		if err == nil {
			return
		}
		if attempt == attempts {
			t.Fatal(err)
		}
		t.Log(err)
	}
}

// keptOverKill fails when a confirmed message is gone after a kill and a restart.
func keptOverKill(t *testing.T) error {
	ctx := t.Context()
	r, err := servers.StartRabbitMQ(ctx)
	serverstest.Require(t, err)
	t.Cleanup(func() { _ = r.Stop() }) // when the test ends early
	publishOne(t, r.URL)
	if err := r.Settled(ctx, "kept-over-a-kill"); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	if err := r.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	conn, ch := dial(t, r.URL)
	defer conn.Close()
	_, kept, lost := ch.Get("kept-over-a-kill", true)
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	wantNobodyListening(t, r.URL)
	wantNobodyListening(t, r.ManagementURL)
	if !kept || lost != nil {
		return fmt.Errorf("a confirmed message after kill and restart: %v, %v", kept, lost)
	}
	return nil
}

func publishOne(t *testing.T, address string) {
	t.Helper()
	conn, ch := dial(t, address)
	defer conn.Close()
	// Not a quorum queue: RabbitMQ 3.10 forgets one that was declared in the second before a kill.
	if _, err := ch.QueueDeclare("kept-over-a-kill", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirm, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), "", "kept-over-a-kill", true, false,
		amqp.Publishing{DeliveryMode: amqp.Persistent})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := confirm.WaitContext(t.Context()); err != nil || !ok {
		t.Fatal(ok, err)
	}
}

func dial(t *testing.T, address string) (*amqp.Connection, *amqp.Channel) {
	t.Helper()
	conn, err := amqp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return conn, ch
}

func TestServersEndWithAKilledParent(t *testing.T) {
	for scheme := range starts {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			parent, address := startHelper(t, scheme)
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait()
			wantNobodyListening(t, address)
		})
	}
}

func startHelper(t *testing.T, scheme string) (parent *exec.Cmd, address string) {
	t.Helper()
	parent = exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), helper+"="+scheme)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	address = strings.TrimSpace(line)
	if strings.Contains(address, servers.ErrNotInstalled.Error()) {
		serverstest.Require(t, servers.ErrNotInstalled)
	}
	if !strings.HasPrefix(address, scheme+"://") {
		t.Fatalf("the helper says %q", address)
	}
	return parent, address
}

// wantNobodyListening waits until the end of a process has reached its port.
func wantNobodyListening(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 30*time.Second, func() error {
		conn, err := net.DialTimeout("tcp", u.Host, time.Second)
		if err != nil {
			return nil
		}
		_ = conn.Close()
		return fmt.Errorf("%s still listens", u.Host)
	})
}

// What is given out stays so while nothing listens on it, yet or for the moment. Left to chance, so many would meet.
func TestFreePortsAreGivenOutOnce(t *testing.T) {
	seen := map[int]bool{}
	for range 40 {
		ports, err := servers.FreePorts(20)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range ports {
			if seen[port] || port >= 32768 || port < 1024 {
				t.Errorf("port %d: given twice or out of range", port)
			}
			seen[port] = true
			l, err := net.Listen("tcp4", servers.Address(port))
			if err != nil {
				t.Error(err)
				continue
			}
			l.Close()
		}
	}
}
