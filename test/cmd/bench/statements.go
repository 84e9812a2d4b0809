//go:build unix

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
)

// statementsFloor is the most statements that a fresh activation may take, those included that relay its events and
// that clients of other activations share with it.
const statementsFloor = 2.0

// statements counts what one validation and one activation ask of PostgreSQL and of auth, on the wire: a license
// process reaches both through counting relays. Nothing is taken off for the work that goes on without any request.
func (b *bench) statements(ctx context.Context) error {
	database, err := url.Parse(b.suite.Postgres.URL)
	if err != nil {
		return err
	}
	sql, err := newRelay(database.Host, countStatements)
	if err != nil {
		return err
	}
	defer sql.Close()
	hops, err := newRelay(strings.TrimPrefix(b.suite.Process("auth").InternalURL, "http://"), countWrites)
	if err != nil {
		return err
	}
	defer hops.Close()
	database.Host = sql.Addr().String()
	license, err := b.startLicense(ctx, "license-counted", database.String(), "http://"+hops.Addr().String())
	if err != nil {
		return err
	}
	defer license.Kill()
	if err := warm(ctx, license.url, b.suite.APIKey, licenses); err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	c := counted{b, sql, hops}
	// A floor of half a hundredth is what 0.00 means when it is printed with two digits.
	statements := b.atMost(row{Name: "SQL statements per warm validate", Floor: new(0.005)})
	calls := b.atMost(row{Name: "calls of auth per warm validate", Floor: new(0.005)})
	for range b.rounds {
		if err := c.drive(ctx, validation(license.url, b.suite.APIKey), anyOf(licenses), statements,
			calls); err != nil {
			return err
		}
	}
	return c.drive(ctx, activation(license.url, b.suite.APIKey), b.freshDevices(licenses),
		b.atMost(row{Name: "SQL statements per fresh activation, relay included", Floor: new(statementsFloor)}),
		b.info("calls of auth per fresh activation", ""))
}

// counted is a bench whose license process goes through two relays.
type counted struct {
	*bench
	sql, hops *relay
}

// drive adds to the rows what a request asked for on average.
func (c counted) drive(
	ctx context.Context, t target, next func(conn, i int) (call, bool), statements, calls *row,
) error {
	sql, hops := c.sql.count.Load(), c.hops.count.Load()
	o, err := drive(ctx, t, c.span, next)
	if err := cmp.Or(err, o.first); err != nil {
		return err
	}
	statements.add(float64(c.sql.count.Load()-sql) / float64(o.requests))
	calls.add(float64(c.hops.count.Load()-hops) / float64(o.requests))
	return nil
}

// relay passes connections on to a server and counts what is asked.
type relay struct {
	net.Listener
	count atomic.Int64
}

// newRelay listens on a free port. ask copies what the client sends and counts it.
func newRelay(server string, ask func(r *relay, to io.Writer, from io.Reader) error) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{Listener: l}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return // closed
			}
			go r.pass(from, server, ask)
		}
	}()
	return r, nil
}

func (r *relay) pass(from net.Conn, server string, ask func(r *relay, to io.Writer, from io.Reader) error) {
	defer from.Close()
	to, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(from, to)
		from.Close()
	}()
	_ = ask(r, to, from)
	to.Close()
}

// countWrites takes every piece that the client sends for a call: small requests come in one.
func countWrites(r *relay, to io.Writer, from io.Reader) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			r.count.Add(1)
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// countStatements reads the messages of a PostgreSQL client (postgresql.org/docs/15/protocol-message-formats.html) and
// counts Query and Execute: one for each statement that runs, BEGIN and COMMIT included.
func countStatements(r *relay, to io.Writer, from io.Reader) error {
	in := bufio.NewReader(from)
	head := make([]byte, 5)
	for start := head[1:]; ; start = head { // only the first message has no type
		if _, err := io.ReadFull(in, start); err != nil {
			return err
		}
		if len(start) == 5 && (start[0] == 'Q' || start[0] == 'E') {
			r.count.Add(1)
		}
		if _, err := to.Write(start); err != nil {
			return err
		}
		rest := int64(binary.BigEndian.Uint32(head[1:])) - 4
		if _, err := io.CopyN(to, in, rest); err != nil {
			return err
		}
	}
}
