//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Floors under overload: who is let in waits for at most letInFloor, in ms, and once it is quiet a process has at most
// calmFloor times the memory that it had before.
const (
	letInFloor = 1000.0
	calmFloor  = 1.5
)

// crowd is how many connections activate at once; far more than the database can carry.
const crowd = 2000

// overload measures what a crowd that activates does to those who are let in, to warm validations beside them, and to
// memory.
func (b *bench) overload(ctx context.Context) error {
	license, url := b.suite.Process("license"), b.suite.LicenseURL
	if err := warm(ctx, url, b.suite.APIKey, licenses); err != nil {
		return err
	}
	wrong := b.atMost(row{Name: "overload, answers other than 201, 409 and 503 with Retry-After", Floor: new(0.0)})
	p50 := b.info("  activations let in, p50", "ms")
	p99 := b.atMost(row{Name: "  activations let in, p99", Unit: "ms", Floor: new(letInFloor)})
	accepted, refused := b.info("  activations let in", ""), b.info("  activations refused", "")
	alone, beside := b.info("  warm validate alone, p99", "ms"), b.info("  warm validate beside the crowd, p99", "ms")
	before, peak, after := b.info("  resident memory before", "MB"), b.info("  resident memory meanwhile", "MB"),
		b.info("  resident memory once quiet", "MB")
	calm := b.atMost(row{Name: "  resident memory once quiet, of before", Floor: new(calmFloor)})
	for range b.rounds {
		quiet, err := drive(ctx, validation(url, b.suite.APIKey), b.span, anyOf(licenses))
		if err != nil {
			return err
		}
		fresh := residentMB(license.PID())
		before.add(fresh)
		c := &crowding{target: activation(url, b.suite.APIKey), next: b.freshDevices(licenses)}
		var rush sync.WaitGroup
		limited, cancel := context.WithTimeout(ctx, 2*b.span)
		rush.Go(func() { c.run(limited) })
		busy, err := drive(ctx, validation(url, b.suite.APIKey), b.span, anyOf(licenses))
		peak.add(residentMB(license.PID()))
		rush.Wait()
		cancel()
		if err := errors.Join(err, b.settle(ctx), awaitReturnedMemory(ctx)); err != nil {
			return err
		}
		left := residentMB(license.PID())
		after.add(left)
		calm.add(left / fresh)
		wrong.count(c.wrong + quiet.wrong + busy.wrong)
		let := outcome{latencies: c.latencies}
		slices.Sort(let.latencies)
		p50.add(let.percentile(0.50) / 1000)
		p99.add(let.percentile(0.99) / 1000)
		accepted.add(float64(len(c.latencies)))
		refused.add(float64(c.refused))
		alone.add(quiet.percentile(0.99) / 1000)
		beside.add(busy.percentile(0.99) / 1000)
		if c.first != nil {
			b.say("overload: %v", c.first)
		}
	}
	return nil
}

// crowding is a crowd at work and what it was answered.
type crowding struct {
	target
	next func(conn, i int) (call, bool)

	mu        sync.Mutex
	latencies []uint32 // of those let in, in microseconds
	refused   int
	wrong     int
	first     error
}

// run has everyone activate one device after the other until ctx ends. Who is refused asks again at once: the worst of
// clients.
func (c *crowding) run(ctx context.Context) {
	var all sync.WaitGroup
	for number := range crowd {
		all.Go(func() {
			if err := c.visit(ctx, number); err != nil && ctx.Err() == nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.wrong++
				c.first = err
			}
		})
	}
	all.Wait()
}

func (c *crowding) visit(ctx context.Context, number int) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := bufio.NewReader(conn)
	for i := 0; ctx.Err() == nil; i++ {
		what, _ := c.next(number, i)
		body := fmt.Sprintf(`{"license_key":%q,"hardware_id":"crowd-%d"}`, licenseKey(what.license), what.device)
		begun := time.Now()
		_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Type: "+
			"application/json\r\nContent-Length: %d\r\n\r\n%s",
			c.path, c.apiKey, len(body), body)
		if err != nil {
			return err
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return err
		}
		c.note(res, time.Since(begun))
	}
	return nil
}

func (c *crowding) note(res *http.Response, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case res.StatusCode == http.StatusCreated || res.StatusCode == http.StatusConflict:
		c.latencies = append(c.latencies, uint32(took.Microseconds()))
	case res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		c.refused++
	default:
		c.wrong++
		c.first = fmt.Errorf("an activation was answered %s", res.Status)
	}
}
