//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// connections is how many keep-alive connections put a target under load.
const connections = 16

// target is an endpoint that takes {license_key, hardware_id}.
type target struct {
	// url is http://host:port.
	url    string
	path   string
	apiKey string
	// members are further ones of the body, each after a comma.
	members string
	// status and marks must be in every answer; named says that the license's id must be as well.
	status string
	marks  []string
	named  bool
	// memory, if not empty, is in an answer that came from where it was to come from; others are right, but misses.
	memory string
}

// call names the license and the device of one request.
type call struct{ license, device int64 }

// outcome is what a load came to.
type outcome struct {
	requests int
	took     time.Duration
	// wrong counts answers that were not what they should have been, and broken connections; first is the first of
	// them.
	wrong int
	first error
	// misses counts right answers without target.memory.
	misses int
	// latencies in microseconds, sorted.
	latencies []uint32
}

// perSecond is the rate of right answers.
func (o outcome) perSecond() float64 { return float64(o.requests-o.wrong) / o.took.Seconds() }

// percentile in microseconds.
func (o outcome) percentile(p float64) float64 {
	if len(o.latencies) == 0 {
		return 0
	}
	return float64(o.latencies[min(int(p*float64(len(o.latencies))), len(o.latencies)-1)])
}

// drive sends what next names over all connections until span is over (if it is positive) or next has no more. The
// generator shares the computer with what it measures, so it does as little as can be: it patches a request that is
// ready, and looks for what must be in the answer.
func drive(ctx context.Context, t target, span time.Duration, next func(conn, i int) (call, bool)) (outcome, error) {
	workers := make([]*worker, connections)
	for i := range workers {
		w, err := newWorker(ctx, t, i)
		if err != nil {
			return outcome{}, err
		}
		defer w.conn.Close()
		defer context.AfterFunc(ctx, func() { w.conn.Close() })()
		workers[i] = w
	}
	start := time.Now()
	end := start.Add(span)
	if span <= 0 {
		end = start.Add(10 * time.Minute)
	}
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() { w.run(end, next) })
	}
	all.Wait()
	sum := outcome{took: time.Since(start)}
	for _, w := range workers {
		sum.requests += len(w.latencies)
		sum.wrong += w.wrong
		sum.misses += w.misses
		sum.latencies = append(sum.latencies, w.latencies...)
		if sum.first == nil {
			sum.first = w.first
		}
	}
	slices.Sort(sum.latencies)
	return sum, ctx.Err()
}

// worker is one connection.
type worker struct {
	target
	number    int
	conn      net.Conn
	request   []byte
	key       []byte // within request
	hardware  []byte // within request
	marks     [][]byte
	memory    []byte
	id        []byte // what the answer must hold
	answer    []byte
	latencies []uint32
	wrong     int
	misses    int
	first     error
}

func newWorker(ctx context.Context, t target, number int) (*worker, error) {
	host := strings.TrimPrefix(t.url, "http://")
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	w := &worker{
		target:    t,
		number:    number,
		conn:      conn,
		answer:    make([]byte, 16<<10),
		latencies: make([]uint32, 0, 1<<15),
	}
	key, hardware := strings.Repeat("k", keyLen), strings.Repeat("h", hardwareLen)
	body := `{"license_key":"` + key + `","hardware_id":"` + hardware + `"` + t.members + `}`
	w.request = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nX-Api-Key: %s\r\nContent-Type: "+
		"application/json\r\nContent-Length: %d\r\n\r\n%s",
		t.path, host, t.apiKey, len(body), body)
	w.key = within(w.request, key)
	w.hardware = within(w.request, hardware)
	w.id = []byte(`"license_id":"` + licenseID(0) + `"`)
	w.memory = []byte(t.memory)
	for _, m := range t.marks {
		w.marks = append(w.marks, []byte(m))
	}
	return w, nil
}

func within(b []byte, part string) []byte {
	at := bytes.LastIndex(b, []byte(part))
	return b[at : at+len(part)]
}

func (w *worker) run(end time.Time, next func(conn, i int) (call, bool)) {
	_ = w.conn.SetDeadline(end.Add(15 * time.Second))
	now := time.Now()
	for i := 0; now.Before(end); i++ {
		c, more := next(w.number, i)
		if !more {
			return
		}
		err := w.ask(c)
		before := now
		now = time.Now()
		w.latencies = append(w.latencies, uint32(now.Sub(before).Microseconds()))
		if err == nil {
			continue
		}
		w.wrong++
		if w.first == nil {
			w.first = err
		}
		if !errors.As(err, new(*wrongAnswer)) {
			return // the connection is broken
		}
	}
}

// wrongAnswer is an answer that came, but not the one it should have been.
type wrongAnswer struct{ text string }

func (e *wrongAnswer) Error() string { return "wrong answer: " + e.text }

func (w *worker) ask(c call) error {
	putKey(w.key, c.license)
	putHex(w.hardware, c.device)
	if _, err := w.conn.Write(w.request); err != nil {
		return err
	}
	head, body, err := w.receive()
	if err != nil {
		return err
	}
	ok := string(head[9:12]) == w.status
	for _, m := range w.marks {
		ok = ok && bytes.Contains(body, m)
	}
	if w.named {
		putHex(w.id[len(w.id)-13:len(w.id)-1], c.license)
		ok = ok && bytes.Contains(body, w.id)
	}
	if !ok {
		return &wrongAnswer{string(head[:12]) + " " + string(body)}
	}
	if !bytes.Contains(body, w.memory) {
		w.misses++
	}
	return nil
}

var (
	blankLine     = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
)

// receive reads one answer. What is compared answers with a Content-Length always; nothing is sent ahead, so nothing
// can follow it.
func (w *worker) receive() (head, body []byte, err error) {
	n, whole := 0, -1
	for {
		m, err := w.conn.Read(w.answer[n:])
		if err != nil {
			return nil, nil, err
		}
		n += m
		if whole < 0 {
			if head, whole, err = frame(w.answer[:n]); err != nil {
				return nil, nil, err
			}
		}
		switch {
		case whole >= 0 && n == whole:
			return head, w.answer[len(head):n], nil
		case n == len(w.answer) || whole >= 0 && n > whole:
			return nil, nil, errors.New("an answer of unexpected length")
		}
	}
}

// frame finds the end of the head and the length of the whole answer; -1 while the head is not complete.
func frame(raw []byte) (head []byte, whole int, err error) {
	end := bytes.Index(raw, blankLine)
	if end < 0 {
		return nil, -1, nil
	}
	head = raw[:end+len(blankLine)]
	at := bytes.Index(head, contentLength)
	if at < 0 || end < 12 {
		return nil, 0, errors.New("an answer without Content-Length")
	}
	digits := head[at+len(contentLength):]
	length, err := strconv.Atoi(string(digits[:bytes.IndexByte(digits, '\r')]))
	return head, len(head) + length, err
}

// anyOf draws licenses from 1 to count, each with its own device.
func anyOf(count int64) func(conn, i int) (call, bool) {
	return func(conn, i int) (call, bool) {
		n := 1 + int64(scramble(uint64(conn)<<40|uint64(i))%uint64(count))
		return call{license: n, device: n}, true
	}
}

// each names every license from 1 to count once.
func each(count int64) func(conn, i int) (call, bool) {
	return func(conn, i int) (call, bool) {
		n := 1 + int64(conn) + int64(i)*connections
		return call{license: n, device: n}, n <= count
	}
}

// scramble is the finalizer of SplitMix64: numbers that look random, for nothing.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
