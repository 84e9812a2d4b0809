//go:build unix

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
)

// Goals of the issue: recording one request in a hundred may cost three in a hundred.
const (
	tracesFloor = 0.90
	tracesAim   = 0.97
)

// traces compares warm validations of two processes that differ in one thing: one records traces of 1 % of them.
func (b *bench) traces(ctx context.Context, answers tally) error {
	collector, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer collector.Close()
	go func() { _ = http.Serve(collector, http.HandlerFunc(discard)) }() // until the listener is closed
	var contenders []*contender
	for _, c := range []struct {
		name  string
		ratio *row
		env   []string
	}{
		{"without traces", nil, nil},
		{"traces of 1 %", b.ratio("warm validate of one without, traces of 1 %", tracesFloor, tracesAim), []string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + collector.Addr().String(),
			"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01",
		}},
	} {
		cmd := b.license("serve", b.suite.Postgres.URL, b.suite.Process("auth").InternalURL)
		cmd.Env = append(cmd.Env, c.env...)
		p, err := b.serveLicense(ctx, "license "+c.name, cmd)
		if err != nil {
			return err
		}
		defer p.Kill()
		if err := warm(ctx, p.url, b.suite.APIKey, licenses); err != nil {
			return err
		}
		contenders = append(contenders, b.contender(c.name, validation(p.url, b.suite.APIKey), c.ratio,
			map[string]int{"server": p.PID(), "load generator": os.Getpid()}))
	}
	return b.compare(ctx, answers, contenders...)
}

// discard is a collector of traces that takes everything.
func discard(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
