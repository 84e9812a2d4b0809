package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// What net/http writes by itself: errors of requests that it cannot read, and what answers plain HTTP where TLS is
// spoken. No answer of a handler has such a header right after its status line.
var (
	plainHeader = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	plainStart  = []byte("HTTP/1.1 ")
	plainToTLS  = []byte("HTTP/1.0 400 Bad Request\r\n\r\n")
	// plainExpect is how net/http refuses an Expect header by itself, with no body. No handler answers 417, and no JSON
	// has a line break in it: a long answer is written in pieces, and a text of a client can begin one.
	plainExpect = []byte("HTTP/1.1 417 Expectation Failed\r\n")
)

// errorConn gives the errors that net/http writes by itself (400, 417, 431, 501, 505) the documented shape, and a line
// in log.
type errorConn struct {
	*net.TCPConn
	log *slog.Logger
}

// Write implements net.Conn.
func (c errorConn) Write(p []byte) (int, error) { return writeDocumented(c.TCPConn, c.log, p) }

// errorTLSConn is errorConn over TLS. net/http takes it for any connection, which does its handshake when it is first
// read.
type errorTLSConn struct {
	*tls.Conn
	log *slog.Logger
}

// Write implements net.Conn.
func (c errorTLSConn) Write(p []byte) (int, error) { return writeDocumented(c.Conn, c.log, p) }

// Read implements net.Conn. Clients that speak plain HTTP are told so in plain HTTP.
func (c errorTLSConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if strange := (tls.RecordHeaderError{}); errors.As(err, &strange) && strange.Conn != nil {
		_, _ = io.WriteString(strange.Conn, string(plainToTLS)+"this server speaks HTTPS; use https:// in the URL")
		_ = strange.Conn.Close()
	}
	return n, err
}

func writeDocumented(conn net.Conn, log *slog.Logger, p []byte) (int, error) {
	e := plainErrorOf(p)
	if e == nil {
		return conn.Write(p)
	}
	id := httpx.NewRequestID()
	if _, err := conn.Write(e.answer(id)); err != nil {
		return 0, err // anyone who gave up a TLS handshake has asked for nothing
	}
	client, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	log.Info("request", "request_id", id, "client_ip", client, "status", e.status, "error_code", e.Code,
		"error", e.Message)
	return len(p), nil
}

// plainError is an error that net/http wrote. Nothing is known of its request, which has no path and so no dialect.
type plainError struct {
	*apierr.Error
	status int
	line   []byte
}

// plainErrorOf reads what net/http writes, nil where p is no error of its own.
func plainErrorOf(p []byte) *plainError {
	if text, found := bytes.CutPrefix(p, plainToTLS); found {
		return newPlainError([]byte("HTTP/1.1 400 Bad Request"), http.StatusBadRequest, text)
	}
	if bytes.HasPrefix(p, plainExpect) {
		return newPlainError(bytes.TrimSpace(plainExpect), http.StatusExpectationFailed,
			[]byte("the header Expect may only be 100-continue"))
	}
	if !bytes.HasPrefix(p, plainStart) {
		return nil
	}
	status, text, found := bytes.Cut(p, plainHeader)
	if !found || len(status) < len("HTTP/1.1 400") || bytes.ContainsAny(status, "\r\n") {
		return nil
	}
	code, err := strconv.Atoi(string(status[len(plainStart):len("HTTP/1.1 400")]))
	if err != nil {
		return nil
	}
	return newPlainError(status, code, text)
}

func newPlainError(line []byte, status int, text []byte) *plainError {
	e := apierr.New(apierr.Invalid, errcode.MalformedRequest,
		"the server cannot read this as a request: "+string(bytes.TrimSpace(text)))
	if status == http.StatusRequestHeaderFieldsTooLarge {
		e = apierr.New(apierr.Invalid, errcode.HeadersTooLarge,
			"the header of the request is too large; send less than 16 KiB")
	}
	return &plainError{e, status, line}
}

// answer is the error in the documented shape.
func (e *plainError) answer(requestID string) []byte {
	body := httpx.ErrorBody(e.Error)
	return fmt.Appendf(nil, "%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s: %s\r\nConnection: close\r\n\r\n%s",
		e.line, httpx.JSONType, len(body), httpx.HeaderRequestID, requestID, body)
}
