package httpx

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/gin-gonic/gin"
)

func bindRig(t *testing.T) *rig {
	r := newRig(t, func(o *Options) { o.MaxBody = 64 })
	bind := func(bind func(*gin.Context, any) error) gin.HandlerFunc {
		return Wrap(func(c *gin.Context) error {
			var body struct {
				Name string `json:"name"`
			}
			if err := bind(c, &body); err != nil {
				return err
			}
			c.String(http.StatusOK, body.Name)
			return nil
		})
	}
	r.POST("/bind", bind(Bind))
	r.POST("/optional", bind(BindOptional))
	r.POST("/large", MaxBody(128), bind(Bind))
	return r
}

func TestBindMediaTypes(t *testing.T) {
	r := bindRig(t)
	for given, accepted := range map[string]bool{
		"": true, "application/json": true, "application/json; charset=utf-8": true, "Application/JSON ": true,
		"application/json;charset=\"UTF-8\"": true, "application/json; version=1; charset=us-ascii": true,
		"application/json; charset=utf-16": false, "application/json;version=1;Charset=ISO-8859-1": false,
		"application/json; charset=utf-8; charset=utf-16": false, "application/json; charset": false,
		"text/plain": false, "application/x-www-form-urlencoded": false, "application/jsonx": false,
		"application/problem+json": false, ";": false,
	} {
		var headers []string
		if given != "" {
			headers = []string{"Content-Type", given}
		}
		w := r.do(t, "POST", "/bind", `{"name":"x"}`, headers...)
		if accepted && w.Code != http.StatusOK {
			t.Errorf("%q: got %d %s", given, w.Code, w.Body)
		}
		if !accepted {
			wantError(t, w, 415, "UNSUPPORTED_MEDIA_TYPE")
		}
	}
	wantError(t, r.do(t, "POST", "/bind", `{}`, "Content-Encoding", "gzip"), 415, "UNSUPPORTED_MEDIA_TYPE")
}

func TestBindCapsTheBody(t *testing.T) {
	r := bindRig(t)
	body := func(n int) string { return `{"name":"` + strings.Repeat("x", n-11) + `"}` }
	for path, limit := range map[string]int{"/bind": 64, "/large": 128} {
		for _, chunked := range []bool{false, true} {
			for n, fits := range map[int]bool{limit - 1: true, limit: true, limit + 1: false, 4 * limit: false} {
				req := httptest.NewRequest("POST", path, strings.NewReader(body(n)))
				if chunked {
					req.ContentLength = -1
				}
				w := httptest.NewRecorder()
				r.ServeHTTP(w, req)
				if fits && w.Code != http.StatusOK {
					t.Errorf("%s, %d bytes, chunked %v: got %d %s", path, n, chunked, w.Code, w.Body)
				}
				if !fits {
					wantError(t, w, 413, "PAYLOAD_TOO_LARGE")
				}
			}
		}
	}
}

// Clients that send all of a body before they read must see the refusal of it.
func TestTooLargeIsAnsweredToWhoSendsFirst(t *testing.T) {
	const size = 12 << 20
	server := httptest.NewServer(bindRig(t))
	defer server.Close()
	for _, head := range []string{"Content-Length: " + strconv.Itoa(size) + "\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n" + strconv.FormatInt(size, 16) + "\r\n"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /bind HTTP/1.1\r\nHost: x\r\n"+head+strings.Repeat("x", size)+
			"\r\n0\r\n\r\n"); err != nil {
			t.Fatalf("the connection was cut: %v", err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("%v %v", res, err)
		}
	}
}

// A client that asks before it sends is refused without a body.
func TestTooLargeIsAnsweredToWhoAsksFirst(t *testing.T) {
	body := &countedReader{}
	req := httptest.NewRequest("POST", "/bind", body)
	req.ContentLength = 1 << 20
	req.Header.Set("Expect", "100-continue")
	w := httptest.NewRecorder()
	bindRig(t).ServeHTTP(w, req)
	wantError(t, w, 413, "PAYLOAD_TOO_LARGE")
	if body.reads != 0 {
		t.Errorf("%d reads of a body that nobody wants", body.reads)
	}
}

type countedReader struct{ reads int }

func (r *countedReader) Read([]byte) (int, error) { r.reads++; return 0, io.EOF }

func TestBindEmptyBodies(t *testing.T) {
	r := bindRig(t)
	for _, body := range []string{"", " \n"} {
		wantError(t, r.do(t, "POST", "/bind", body), 400, "VALIDATION_ERROR")
		if w := r.do(t, "POST", "/optional", body); w.Code != http.StatusOK {
			t.Errorf("%q: got %d %s", body, w.Code, w.Body)
		}
	}
	wantError(t, r.do(t, "POST", "/optional", "null"), 400, "VALIDATION_ERROR")
	if w := r.do(t, "POST", "/optional", `{"name":"x"}`); w.Body.String() != "x" {
		t.Errorf("got %s", w.Body)
	}
}

func TestBindBrokenOffBody(t *testing.T) {
	r := bindRig(t)
	for _, length := range []int64{20, -1} {
		req := httptest.NewRequest("POST", "/bind",
			io.MultiReader(strings.NewReader(`{"name":`), iotest.ErrReader(io.ErrUnexpectedEOF)))
		req.ContentLength = length
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		wantError(t, w, 400, "VALIDATION_ERROR")
	}
}

func TestBodyIsReadOnce(t *testing.T) {
	r := newRig(t, nil)
	r.POST("/", func(c *gin.Context) {
		first, err := Body(c)
		second, again := Body(c)
		if err != nil || again != nil || !bytes.Equal(first, second) || string(first) != `{"a":1}` {
			t.Errorf("got %s %v, then %s %v", first, err, second, again)
		}
	})
	r.do(t, "POST", "/", `{"a":1}`)
}

func TestBodyOutsideOfOurEngine(t *testing.T) {
	e := gin.New()
	e.POST("/", func(c *gin.Context) {
		if raw, err := Body(c); err != nil || string(raw) != "x" {
			t.Errorf("got %s %v", raw, err)
		}
		if ip := ClientIP(c); ip != "192.0.2.1" || ViaProxy(c) || RequestID(c) != "" {
			t.Errorf("got %s", ip)
		}
	})
	e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader("x")))
}

// Many connections that promise 1 MiB and send 200 bytes take what they send, and no more than a first buffer.
func TestPromisedBodyLengthsCostNothing(t *testing.T) {
	const clients = 100
	var ended sync.WaitGroup
	ended.Add(clients)
	r := newRig(t, nil)
	r.POST("/", Wrap(func(c *gin.Context) error {
		defer ended.Done()
		_, err := Body(c)
		return err
	}))
	server := httptest.NewServer(r)
	defer server.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range clients {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		head := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(DefaultMaxBody) + "\r\n\r\n"
		if _, err := io.WriteString(conn, head+strings.Repeat("x", 200)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	ended.Wait()
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / clients; each > 64<<10 {
		t.Errorf("a connection that sent 200 bytes took %d bytes", each)
	}
}

func TestBodiesGrowWithWhatArrives(t *testing.T) {
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 10 * firstRead} {
		for _, chunked := range []bool{false, true} {
			req := httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", size)))
			if chunked {
				req.ContentLength = -1
			}
			raw, err := readBody(req, 10*firstRead)
			if err != nil || len(raw) != size || cap(raw) > max(2*size, firstRead)+firstRead {
				t.Errorf("%d bytes, chunked %v: got %d of %d, %v", size, chunked, len(raw), cap(raw), err)
			}
		}
	}
}
