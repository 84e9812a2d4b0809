package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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
	// plainExpect is how net/http refuses an Expect header by itself, with no body. No handler answers 417.
	plainExpect = []byte("HTTP/1.1 417 Expectation Failed")
)

// errorConn gives the errors that net/http writes by itself (400, 417, 431, 501, 505) the documented shape.
type errorConn struct{ *net.TCPConn }

// Write implements net.Conn.
func (c errorConn) Write(p []byte) (int, error) { return writeDocumented(c.TCPConn, p) }

// errorTLSConn is errorConn over TLS. net/http takes it for any connection, which does its handshake when it is first
// read.
type errorTLSConn struct{ *tls.Conn }

// Write implements net.Conn.
func (c errorTLSConn) Write(p []byte) (int, error) { return writeDocumented(c.Conn, p) }

// Read implements net.Conn. Who speaks plain HTTP is told so in plain HTTP.
func (c errorTLSConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if strange := (tls.RecordHeaderError{}); errors.As(err, &strange) && strange.Conn != nil {
		_, _ = io.WriteString(strange.Conn, string(plainToTLS)+"this server speaks HTTPS; use https:// in the URL")
		_ = strange.Conn.Close()
	}
	return n, err
}

func writeDocumented(conn net.Conn, p []byte) (int, error) {
	answer := documented(p)
	if answer == nil {
		return conn.Write(p)
	}
	if _, err := conn.Write(answer); err != nil {
		return 0, err
	}
	return len(p), nil
}

// documented is the error that net/http writes with p in the documented shape, nil where p is none.
func documented(p []byte) []byte {
	if text, found := bytes.CutPrefix(p, plainToTLS); found {
		return plainError([]byte("HTTP/1.1 400 Bad Request"), http.StatusBadRequest, text)
	}
	if bytes.HasPrefix(p, plainExpect) {
		return plainError(plainExpect, http.StatusExpectationFailed,
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
	return plainError(status, code, text)
}

func plainError(status []byte, code int, text []byte) []byte {
	e := apierr.New(apierr.Invalid, errcode.MalformedRequest,
		"the server cannot read this as a request: "+string(bytes.TrimSpace(text)))
	if code == http.StatusRequestHeaderFieldsTooLarge {
		e = apierr.New(apierr.Invalid, errcode.HeadersTooLarge,
			"the header of the request is too large; send less than 16 KiB")
	}
	body := httpx.ErrorBody(e)
	return fmt.Appendf(nil, "%s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, httpx.JSONType, len(body), body)
}
