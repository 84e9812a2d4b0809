package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
)

// Address reports whether the service can listen at addr, which setting names, or already does. A suite that is looked
// at is stopped, so what answers in its place is another one.
func (d *Diagnosis) Address(ctx context.Context, setting, service, addr string) {
	const what = "address"
	listener, err := net.Listen("tcp", addr)
	if err == nil {
		listener.Close()
		d.OK(what, "%s is free: %s does not run", addr, service)
		return
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		d.Fail(what, "correct "+setting, "%v", err)
		return
	}
	who := answers(ctx, addr)
	if who == service && d.suite == "" {
		d.OK(what, "%s answers at %s", service, addr)
		return
	}
	found := "another program"
	if who != "" {
		found = who + " of another Latchkey"
	}
	d.Fail(what, "end that program, or set "+setting+" to a free port", "%s listens at %s", found, addr)
}

// answers is the name of the service that answers at addr, "" for none of ours.
func answers(ctx context.Context, addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	if host == "" || net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	client := loopbackClient()
	defer client.CloseIdleConnections()
	for _, scheme := range []string{"http://", "https://"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+net.JoinHostPort(host, port)+"/version", nil)
		if err != nil {
			return ""
		}
		res, err := client.Do(req)
		if err != nil {
			continue
		}
		var version struct{ Service string }
		err = json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&version)
		res.Body.Close()
		if err == nil && version.Service != "" {
			return version.Service
		}
	}
	return ""
}

func (d *Diagnosis) certificate(certFile, keyFile string, now time.Time) {
	const what = "certificate"
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		d.Fail(what, "LATCHKEY_TLS_CERT_FILE and LATCHKEY_TLS_KEY_FILE must name a pair in PEM", "%v", err)
		return
	}
	problem, remedy := server.CheckDates(pair.Leaf, now)
	end := pair.Leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case problem != "":
		d.Fail(what, remedy, "%s", problem)
	case now.Add(server.RenewWithin).After(pair.Leaf.NotAfter):
		d.Warn(what, "renew it; the service reads it again by itself", "it ends at %s", end)
	default:
		d.OK(what, "is good until %s", end)
	}
}
