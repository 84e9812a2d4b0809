package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
)

// Failure is what went wrong with a call, for anyone who entered the server. It names no address that was found out and
// no credential.
type Failure struct {
	// Reason is one word for programs.
	Reason string
	// Text is a sentence without its full stop.
	Text string
}

// failures are looked through in their order.
var failures = []struct {
	Failure
	is func(error) bool
}{
	{Failure{"name_not_resolved", "its name, or that of the proxy, cannot be resolved"}, isA[*net.DNSError]},
	{Failure{"proxy_refused", "the proxy does not let the call through; check its user and password"},
		isA[*ProxyError]},
	{Failure{"timeout", "it did not answer in time"}, timedOut},
	{Failure{"connection_refused", "nothing listens there"}, wraps(syscall.ECONNREFUSED)},
	{Failure{"unreachable", "no way leads there"}, anyOf(wraps(syscall.EHOSTUNREACH), wraps(syscall.ENETUNREACH))},
	{Failure{"certificate_name", "its certificate is for another name"}, isA[x509.HostnameError]},
	{Failure{"certificate_not_trusted", "its certificate is not one that this computer trusts, or has expired"},
		isA[*tls.CertificateVerificationError]},
	{Failure{"tls", "it does not speak TLS, or no version or cipher that is accepted"},
		anyOf(isA[tls.RecordHeaderError], isA[tls.AlertError])},
	{Failure{"redirected", "it answers with a redirect, which is not followed"}, wraps(ErrRedirected)},
	{Failure{"answer_too_long", "its answer is too long"}, wraps(ErrTooLong)},
}

// FailureOf returns the failure of a call of Do; a *Problem has its own.
func FailureOf(err error) Failure {
	for _, f := range failures {
		if f.is(err) {
			return f.Failure
		}
	}
	return Failure{"connection_broken", "the connection broke before it had answered"}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func wraps(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func anyOf(tests ...func(error) bool) func(error) bool {
	return func(err error) bool {
		for _, is := range tests {
			if is(err) {
				return true
			}
		}
		return false
	}
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// ProxyError is the answer of a proxy that does not connect to the server.
type ProxyError struct{ Status int }

// Error implements error.
func (e *ProxyError) Error() string { return fmt.Sprintf("the proxy answers %d", e.Status) }

// checkProxy is told what a proxy answers to CONNECT.
func checkProxy(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return &ProxyError{res.StatusCode}
	}
	return nil
}
