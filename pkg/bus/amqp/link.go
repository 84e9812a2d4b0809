package amqp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/internal/delivery"
)

const (
	// RabbitMQ advises against less; a half-open link is noticed after three of them.
	heartbeat = 5 * time.Second
	// dialTimeout bounds connecting, handshake included.
	dialTimeout = 10 * time.Second
	// writeTimeout bounds one write to the socket, which nothing else does: while the broker reads nothing, it would
	// hang.
	writeTimeout = 10 * time.Second
	closeTimeout = 2 * time.Second
	// answerTimeout bounds what asks the broker and waits for its answer.
	answerTimeout = 10 * time.Second
	// steadyAfter is how long something must have worked before its next failure is met without growing pauses.
	steadyAfter = 10 * time.Second
	// refusedAfter is how often in a row the broker must have refused a connection to be believed: that it closes the
	// socket without a word counts as a refusal of the password, and it does so, too, when it is stopped.
	refusedAfter = 3
)

// errTurnedAway says that the broker takes no connections with this URL.
var errTurnedAway = errors.New("the broker refuses the connection")

// link keeps one connection up. The recovery of amqp091 is not used: it does not cover the first connection, revives
// channels without telling us (an acknowledgment on the earlier channel is then dropped without an error), and a watch
// must know of every gap. A connection here lives once; anyone who used it takes the next one and declares again what
// it needs.
type link struct {
	name, address string
	config        Config
	log           *slog.Logger
	// prepare runs on every new connection before anybody else gets it.
	prepare func(*amqp091.Connection) error

	mu      sync.Mutex
	conn    *amqp091.Connection // nil while away
	up      chan struct{}       // closed while conn is set
	blocked string              // the broker's reason, empty when not blocked
	problem string
	// refusals are those of the broker in a row; refused ends with too many of them.
	refusals int
	refused  context.Context
	refuse   context.CancelFunc
}

func newLink(name string, cfg Config, log *slog.Logger, prepare func(*amqp091.Connection) error) *link {
	uri, _ := amqp091.ParseURI(cfg.URL) // Dial has seen that it parses
	refused, refuse := context.WithCancel(context.Background())
	return &link{
		name: name, config: cfg, prepare: prepare, refused: refused, refuse: refuse,
		address: net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)),
		log:     log.With("link", name, "broker", net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))),
		up:      make(chan struct{}), problem: "not connected yet",
	}
}

// run connects and reconnects until ctx ends.
func (l *link) run(ctx context.Context) {
	for n := 1; ctx.Err() == nil; n++ {
		conn, err := l.connect(ctx)
		if err != nil {
			l.away(err)
			if n%8 == 1 {
				l.log.WarnContext(ctx, "cannot reach the broker; trying again", "tries", n, "error", err)
			}
			_ = delivery.Pause(ctx, n)
			continue
		}
		started := time.Now()
		l.serve(ctx, conn)
		if time.Since(started) > steadyAfter {
			n = 0
		}
		_ = delivery.Pause(ctx, n+1)
	}
	l.away(bus.ErrClosed)
}

func (l *link) connect(ctx context.Context) (*amqp091.Connection, error) {
	unhook := func() bool { return true }
	conn, err := amqp091.DialConfig(l.config.URL, amqp091.Config{
		Heartbeat:  heartbeat,
		Properties: amqp091.Table{"connection_name": l.config.Name + " " + l.name, "product": "latchkey"},
		Dial: func(network, address string) (net.Conn, error) {
			raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			unhook = context.AfterFunc(ctx, func() { _ = raw.Close() })
			// The library lifts this deadline after the handshake.
			return socket{raw}, raw.SetDeadline(time.Now().Add(dialTimeout))
		},
	})
	unhook()
	l.count(err)
	if err != nil {
		return nil, err
	}
	if l.prepare != nil {
		if err := ask(ctx, conn, func() error { return l.prepare(conn) }); err != nil {
			closeConnection(conn)
			return nil, err
		}
	}
	return conn, nil
}

// count takes note of how a connection was opened.
func (l *link) count(err error) {
	var answer *amqp091.Error
	if !errors.As(err, &answer) || answer.Code != amqp091.AccessRefused && answer.Code != amqp091.NotAllowed {
		l.refusals = 0
		return
	}
	if l.refusals++; l.refusals == refusedAfter {
		l.refuse()
	}
}

// serve offers conn to everybody until it is lost or ctx ends.
func (l *link) serve(ctx context.Context, conn *amqp091.Connection) {
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	blockings := conn.NotifyBlocked(make(chan amqp091.Blocking, 16))
	l.arrived(conn)
	l.log.InfoContext(ctx, "connected to the broker")
	for {
		select {
		case <-ctx.Done():
			l.away(bus.ErrClosed)
			closeConnection(conn)
			return
		case b, open := <-blockings:
			if !open {
				blockings = nil
				continue
			}
			l.log.WarnContext(ctx, "the broker changed whether it takes messages",
				"blocked", b.Active, "reason", b.Reason)
			l.setBlocked(b)
		case err := <-closed:
			if err == nil {
				err = amqp091.ErrClosed
			}
			l.away(err)
			l.log.WarnContext(ctx, "lost the broker; reconnecting", "error", err)
			return
		}
	}
}

func (l *link) arrived(conn *amqp091.Connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.problem, l.blocked = conn, "", ""
	close(l.up)
}

func (l *link) away(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn, l.up = nil, make(chan struct{})
	}
	l.problem, l.blocked = err.Error(), ""
}

func (l *link) setBlocked(b amqp091.Blocking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocked = ""
	if b.Active {
		l.blocked = "alarm: " + b.Reason
	}
}

// current is the connection of the moment, nil while away.
func (l *link) current() *amqp091.Connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// await waits for a connection; it fails only when ctx ends.
func (l *link) await(ctx context.Context) (*amqp091.Connection, error) {
	for {
		l.mu.Lock()
		conn, up := l.conn, l.up
		l.mu.Unlock()
		if conn != nil {
			return conn, ctx.Err()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-up:
		}
	}
}

// awaitFirst is await for a program that starts: it fails with errTurnedAway when the broker refuses the connection.
func (l *link) awaitFirst(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.refused, func() { cancel(errTurnedAway) })()
	if _, err := l.await(ctx); err != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (l *link) state() bus.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := bus.State{Connected: l.conn != nil, Blocked: l.blocked != ""}
	switch {
	case s.Blocked:
		s.Detail = "the broker takes no messages: " + l.blocked
	case !s.Connected:
		s.Detail = "no connection to " + l.name + ": " + l.problem
	}
	return s
}

// closeConnection is bounded, so that a dead link does not hold up the end of a process.
func closeConnection(conn *amqp091.Connection) {
	_ = conn.CloseDeadline(time.Now().Add(closeTimeout)) // it is given up either way
}

// ask runs fn, which asks the broker and waits for answers. The library waits forever, and an answer may never come:
// after a broker was killed, a quorum queue that has no leader yet swallows basic.consume (seen with 3.10). When the
// time is over, or ctx ends, the connection is given up, which ends fn; whoever else used it takes the next one.
func ask(ctx context.Context, conn *amqp091.Connection, fn func() error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { closeConnection(conn) })
	defer stop()
	return fn()
}
