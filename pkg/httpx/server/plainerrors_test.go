package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

// What net/http refuses before any handler has the documented shape, too.
func TestErrorsOfTheServerItself(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Connection", "close")
		io.WriteString(w, "a page about HTTP/1.1 400 Bad Request"+string(plainHeader))
	})
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, cert, key, "localhost")
	for name, tt := range map[string]struct {
		server Server
		dial   func(addr string) (net.Conn, error)
	}{
		"HTTP": {Server{}, func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }},
		"HTTPS": {Server{TLSCert: cert, TLSKey: key}, func(addr string) (net.Conn, error) {
			return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.server.Handler = handler
			addr, stop, ended := servingAs(t, Drain{}, tt.server)
			defer func() { stop(); <-ended }()
			errorsOfTheServer(t, func() (net.Conn, error) { return tt.dial(addr) })
			if tt.server.TLSCert == "" {
				return
			}
			res, body := exchange(t, func() (net.Conn, error) { return net.Dial("tcp", addr) },
				"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if res.StatusCode != 400 || !strings.Contains(string(body), "https://") ||
				res.Header.Get("Content-Type") != httpx.JSONType {
				t.Errorf("plain HTTP where TLS is spoken: %d %s", res.StatusCode, body)
			}
		})
	}
}

func errorsOfTheServer(t *testing.T, dial func() (net.Conn, error)) {
	for name, tt := range map[string]struct {
		request string
		status  int
		code    string
	}{
		"large header": {"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 200<<10) + "\r\n\r\n",
			431, "HEADERS_TOO_LARGE"},
		"no HTTP":             {"hello\r\n\r\n", 400, "MALFORMED_REQUEST"},
		"no host":             {"GET / HTTP/1.1\r\n\r\n", 400, "MALFORMED_REQUEST"},
		"bad header":          {"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400, "MALFORMED_REQUEST"},
		"bad length":          {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400, "MALFORMED_REQUEST"},
		"unknown expectation": {"GET / HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n\r\n", 417, "MALFORMED_REQUEST"},
		"unknown version":     {"GET / HTTP/3.7\r\nHost: x\r\n\r\n", 505, "MALFORMED_REQUEST"},
		"transfer encoding": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
			501, "MALFORMED_REQUEST"},
	} {
		res, body := exchange(t, dial, tt.request)
		var e struct {
			Error     string         `json:"error"`
			ErrorCode string         `json:"error_code"`
			Details   map[string]any `json:"details"`
		}
		if err := json.Unmarshal(body, &e); err != nil || res.StatusCode != tt.status || e.ErrorCode != tt.code ||
			e.Error == "" || e.Details == nil {
			t.Errorf("%s: got %d %s", name, res.StatusCode, body)
		}
		h := res.Header
		if h.Get("Content-Type") != httpx.JSONType || h.Get(httpx.HeaderRequestID) == "" || !res.Close {
			t.Errorf("%s: header %v", name, h)
		}
	}
	for _, request := range []string{"GET /", "OPTIONS *"} {
		res, body := exchange(t, dial, request+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if res.StatusCode != 200 || !strings.HasPrefix(string(body), "a page about") {
			t.Errorf("%s: an answer of a handler became %d %s", request, res.StatusCode, body)
		}
	}
}

func exchange(t *testing.T, dial func() (net.Conn, error), request string) (*http.Response, []byte) {
	t.Helper()
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go io.WriteString(conn, request)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.20q: %v", request, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%.20q: %v", request, err)
	}
	return res, body
}

// TestErrorsOfTheServerAreLogged under the id that their clients are told.
func TestErrorsOfTheServerAreLogged(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	var log bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = writeDocumented(ours, slog.New(slog.NewTextHandler(&log, nil)), []byte("HTTP/1.1 400 Bad Request"+
			string(plainHeader)+"400 Bad Request"))
		ours.Close()
	}()
	res, err := http.ReadResponse(bufio.NewReader(theirs), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	<-done
	id := res.Header.Get(httpx.HeaderRequestID)
	if id == "" || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), errcode.MalformedRequest) {
		t.Errorf("%q is not in %s", id, log.String())
	}
}

// TestATextInALongAnswerIsNoError: net/http writes what does not fit into its buffer by itself, so any part of a body
// can begin a write.
func TestATextInALongAnswerIsNoError(t *testing.T) {
	text := strings.Repeat("HTTP/1.1 417 Expectation Failed|HTTP/1.1 400 Bad Request|", 300)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)+len(r.URL.RawQuery)))
		io.WriteString(w, r.URL.RawQuery+text)
	})
	addr, stop, ended := servingAs(t, Drain{}, Server{Handler: handler})
	defer func() { stop(); <-ended }()
	for shift := range 60 { // longer than the text that is repeated
		_, body := exchange(t, func() (net.Conn, error) { return net.Dial("tcp", addr) },
			"GET /?"+strings.Repeat("x", shift)+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if want := strings.Repeat("x", shift) + text; string(body) != want {
			t.Fatalf("%d bytes of %d", len(body), len(want))
		}
	}
}

// TestWhoGaveUpIsNotLogged: who does not trust the certificate has asked for nothing.
func TestWhoGaveUpIsNotLogged(t *testing.T) {
	ours, theirs := net.Pipe()
	theirs.Close()
	var log bytes.Buffer
	_, err := writeDocumented(ours, slog.New(slog.NewTextHandler(&log, nil)), []byte("HTTP/1.1 400 Bad Request"+
		string(plainHeader)+"400 Bad Request"))
	if err == nil || log.Len() > 0 {
		t.Errorf("%v, %s", err, log.String())
	}
}

func TestOnlyWholePlainErrorsAreRewritten(t *testing.T) {
	for _, p := range []string{
		"", "HTTP/1.1 ", "HTTP/1.1 400 Bad Request\r\n\r\n", string(plainHeader), "HTTP/1.1 " + string(plainHeader),
		"HTTP/1.1 4x0 Bad" + string(plainHeader),
		"HTTP/1.1 400 Bad Request\r\nDate: today" + string(plainHeader),
		"x" + string(plainStart) + "400 Bad Request" + string(plainHeader),
	} {
		if got := plainErrorOf([]byte(p)); got != nil {
			t.Errorf("%q became %v", p, got)
		}
	}
	toTLS := plainErrorOf([]byte(string(plainToTLS) + "Client sent an HTTP request"))
	if toTLS == nil || toTLS.Code != errcode.MalformedRequest {
		t.Errorf("got %v", toTLS)
	}
}
