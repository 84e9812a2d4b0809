package httpx

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// What net/http writes by itself: errors of requests that it cannot read, and the answer to plain HTTP where TLS is spoken. No
// answer of a handler has such a header right after its status line.
var (
	plainHeader = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	plainStart  = []byte("HTTP/1.1 ")
	plainToTLS  = []byte("HTTP/1.0 400 Bad Request\r\n\r\n")
)

// errorConn gives the errors that net/http writes by itself (400, 431, 501, 505) the documented shape. Over TLS it sees only
// ciphertext, so there they stay plain text.
type errorConn struct{ *net.TCPConn }

// Write implements net.Conn.
func (c errorConn) Write(p []byte) (int, error) {
	answer := documented(p)
	if answer == nil {
		return c.TCPConn.Write(p)
	}
	if _, err := c.TCPConn.Write(answer); err != nil {
		return 0, err
	}
	return len(p), nil
}

// documented is the error that net/http writes with p in the documented shape, nil where p is none.
func documented(p []byte) []byte {
	if text, found := bytes.CutPrefix(p, plainToTLS); found {
		return plainError([]byte("HTTP/1.1 400 Bad Request"), http.StatusBadRequest, text)
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
	e := apierr.New(apierr.Invalid, errcode.MalformedRequest, "the server cannot read this as a request: "+string(bytes.TrimSpace(text)))
	if code == http.StatusRequestHeaderFieldsTooLarge {
		e = apierr.New(apierr.Invalid, errcode.HeadersTooLarge, "the header of the request is too large; send less than 16 KiB")
	}
	body := errorBody(e, nil)
	return fmt.Appendf(nil, "%s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, jsonType, len(body), body)
}
