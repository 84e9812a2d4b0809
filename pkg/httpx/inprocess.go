package httpx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// InProcess is a http.RoundTripper that answers from handlers living in this process, by the host of the URL ("auth"
// for http://auth/). To both sides it is a real hop: the handler does not see the caller's context values (a
// transaction, a request id), only its deadline and its end; a panic is a broken connection.
type InProcess map[string]http.Handler

// RoundTrip implements http.RoundTripper.
func (p InProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	h, ok := p[req.URL.Host]
	if !ok {
		if req.Body != nil {
			req.Body.Close()
		}
		known := slices.Sorted(maps.Keys(p))
		return nil, fmt.Errorf("no service %q in this process; there are %s", req.URL.Host, strings.Join(known, ", "))
	}
	ctx, cancel := context.WithCancel(hop{req.Context()})
	answered := make(chan result, 1)
	go func() {
		defer cancel()
		answered <- answer(h, incoming(ctx, req))
	}()
	select {
	case r := <-answered:
		return r.response(req)
	case <-req.Context().Done():
		return nil, context.Cause(req.Context()) // the handler notices by its own context
	}
}

// hop passes on when the caller's context ends, and nothing else.
type hop struct{ context.Context }

func (hop) Value(any) any { return nil }

// AfterFunc spares package context a goroutine for each child.
func (h hop) AfterFunc(f func()) func() bool { return context.AfterFunc(h.Context, f) }

// incoming is the request as the server's side sees it.
func incoming(ctx context.Context, req *http.Request) *http.Request {
	in := req.Clone(ctx)
	in.RequestURI = req.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:0"
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	return in
}

// answer runs the handler to its end.
func answer(h http.Handler, in *http.Request) (r result) {
	rec := &recorder{header: http.Header{}}
	defer in.Body.Close()
	defer func() {
		if p := recover(); p != nil {
			r = result{err: fmt.Errorf("%s broke the connection: %w", in.URL.Host, io.ErrUnexpectedEOF)}
		}
	}()
	h.ServeHTTP(rec, in)
	rec.WriteHeader(http.StatusOK)
	return result{rec: rec}
}

type result struct {
	rec *recorder
	err error
}

func (r result) response(req *http.Request) (*http.Response, error) {
	if r.err != nil {
		return nil, r.err
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", r.rec.status, http.StatusText(r.rec.status)),
		StatusCode:    r.rec.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        r.rec.sent,
		Body:          io.NopCloser(&r.rec.body),
		ContentLength: int64(r.rec.body.Len()),
		Request:       req,
	}, nil
}

// recorder is the answer being written. net/http/httptest has one, but brings flags into the program.
type recorder struct {
	header http.Header
	sent   http.Header // as they were when the status went out
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status, r.sent = status, r.header.Clone()
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// Flush implements http.Flusher; the answer is handed over whole.
func (r *recorder) Flush() {}
