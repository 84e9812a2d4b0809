package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/obs"
)

var ada = &Actor{Id: "1", Name: "Ada \U0001F511", Role: "owner", Ip: "192.0.2.7", RequestId: "r-1"}

// owner is a peer service "auth" whose management answers with what it got, and the front that forwards to it.
type owner struct {
	log    bytes.Buffer
	engine *gin.Engine
	front  *gin.Engine
	handle httpx.Handler
}

func newOwner(gateway func(o *owner) *Gateway) *owner {
	o := &owner{handle: echo}
	o.engine = httpx.NewEngine(httpx.Options{
		Service: "auth",
		Log:     obs.NewLogger(&o.log, "info", "json"),
		MaxBody: 4 << 20,
	})
	group := o.engine.Group("/manage", RequireActor("auth", peers, "license"))
	group.Any("/*rest", httpx.Wrap(func(c *gin.Context) error { return o.handle(c) }))
	o.front = httpx.NewEngine(httpx.Options{Service: "license", MaxBody: 2 << 20})
	g := gateway(o)
	o.front.Any("/manage/*rest", httpx.Wrap(func(c *gin.Context) error { return g.Forward(c, ada) }))
	return o
}

// echo answers with everything that it got.
func echo(c *gin.Context) error {
	body, err := httpx.Body(c)
	if err != nil {
		return err
	}
	c.Header("ETag", `"7"`)
	httpx.MarkReplayed(c.Request.Context())
	c.JSON(http.StatusAccepted, map[string]any{
		"method": c.Request.Method, "uri": c.Request.RequestURI, "body": string(body), "header": c.Request.Header,
		"by": ActorOf(c),
	})
	return nil
}

func (o *owner) inProcess() http.RoundTripper { return httpx.InProcess{"auth": o.engine} }

func gatewayOf(id Identity, url string, rt http.RoundTripper) *Gateway {
	return NewGateway(id, "auth", url, HTTPClient(rt))
}

// eachWay forwards in process and over the network.
func eachWay(t *testing.T, test func(t *testing.T, o *owner)) {
	t.Run("in process", func(t *testing.T) {
		test(t, newOwner(func(o *owner) *Gateway { return gatewayOf(license, "http://auth", o.inProcess()) }))
	})
	t.Run("over HTTP", func(t *testing.T) {
		test(t, newOwner(func(o *owner) *Gateway {
			server := httptest.NewServer(o.engine)
			t.Cleanup(server.Close)
			return gatewayOf(license, server.URL+"/", nil)
		}))
	})
}

func (o *owner) ask(method, uri, body string, header http.Header) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, uri, strings.NewReader(body))
	for name, values := range header {
		req.Header[name] = values
	}
	rec := httptest.NewRecorder()
	o.front.ServeHTTP(rec, req)
	return rec
}

func TestForward(t *testing.T) {
	eachWay(t, func(t *testing.T, o *owner) {
		large := strings.Repeat("x", 1<<21)
		rec := o.ask("POST", "/manage/a%20b/%2e%2e/c?x=1&x=%ff", large, http.Header{
			"Content-Type": {"application/json"}, "If-Match": {`"1"`, `"2"`}, "Idempotency-Key": {"once"},
			"X-Request-Id":    {"r-1"},
			"X-Admin-Api-Key": {"ak_secret"}, "Cookie": {"a=b"}, "Authorization": {"Bearer mine"},
			"X-Forwarded-For": {"192.0.2.1"},
			"Traceparent":     {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		})
		var got struct {
			Method, URI, Body string
			Header            http.Header
			By                *Actor
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusAccepted {
			t.Fatalf("%d %v", rec.Code, err)
		}
		if got.Method != "POST" || got.URI != "/manage/a%20b/%2e%2e/c?x=1&x=%ff" || got.Body != large ||
			got.By.GetName() != ada.Name || got.By.GetIp() != ada.Ip {
			t.Errorf("got %s %s, %d bytes, by %v", got.Method, got.URI, len(got.Body), got.By)
		}
		h := got.Header
		if len(h["If-Match"]) != 2 || h.Get("Idempotency-Key") != "once" || h.Get("X-Request-Id") != "r-1" ||
			h.Get("Traceparent") == "" {
			t.Errorf("headers are missing: %v", h)
		}
		for _, secret := range []string{"X-Admin-Api-Key", "Cookie", "X-Forwarded-For"} {
			if h.Get(secret) != "" || h.Get("Authorization") == "Bearer mine" {
				t.Errorf("the peer sees %s: %v", secret, h)
			}
		}
		for name, want := range map[string]string{
			"Etag":               `"7"`,
			httpx.HeaderReplayed: "true",
			"X-Request-Id":       "r-1",
			"Cache-Control":      "no-store",
		} {
			if values := rec.Header().Values(name); len(values) != 1 || values[0] != want {
				t.Errorf("%s: %q, want %q", name, values, want)
			}
		}
		if rec := o.ask("PATCH", "/manage/a", "{}",
			http.Header{"Idempotency-Key": {"once"}}); strings.Contains(rec.Body.String(), "once") {
			t.Errorf("a change that does not read its key could be repeated for it: %s", rec.Body)
		}
	})
}

// TestForwardOfFiles: they arrive as they are, with the name that they are stored by.
func TestForwardOfFiles(t *testing.T) {
	eachWay(t, func(t *testing.T, o *owner) {
		o.handle = func(c *gin.Context) error {
			c.Header("Content-Disposition", "attachment")
			c.Data(http.StatusCreated, FileType, []byte("\x00 <file>\n"))
			return nil
		}
		rec := o.ask("POST", "/manage/a", "{}", nil)
		if rec.Code != http.StatusCreated || rec.Body.String() != "\x00 <file>\n" ||
			rec.Header().Get("Content-Type") != FileType || rec.Header().Get("Content-Disposition") != "attachment" {
			t.Errorf("%d %v %q", rec.Code, rec.Header(), rec.Body)
		}
	})
}

func TestForwardRefusals(t *testing.T) {
	eachWay(t, func(t *testing.T, o *owner) {
		o.handle = func(*gin.Context) error {
			return apierr.New(apierr.Conflict, "TAKEN", "taken").With("n", json.Number("12345678901234567890")).
				WithRetryAfter(3 * time.Second)
		}
		rec := o.ask("POST", "/manage/a", "{}", nil)
		if want := `{"details":{"n":12345678901234567890},"error":"taken","error_code":"TAKEN"}`; rec.Code != 409 ||
			rec.Body.String() != want || rec.Header().Get("Retry-After") != "3" {
			t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
		}
		o.handle = func(*gin.Context) error { panic("a defect") }
		if rec := o.ask("GET", "/manage/a", "", nil); rec.Code != 500 || strings.Contains(rec.Body.String(), "defect") {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if rec := o.ask("POST", "/manage/a", strings.Repeat("x", 2<<20+1),
			nil); rec.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
}

// Only a change with an Idempotency-Key that its owner honors may seem repeatable to net/http.
func TestForwardedHeader(t *testing.T) {
	for method, want := range map[string]bool{"POST": true, "PATCH": false, "DELETE": false} {
		r := httptest.NewRequest(method, "/", nil)
		if _, bare := forwardedHeader(r)["Idempotency-Key"]; bare {
			t.Errorf("%s: a key that nobody sent", method)
		}
		r.Header.Set("Idempotency-Key", "once")
		if _, has := forwardedHeader(r)["Idempotency-Key"]; has != want {
			t.Errorf("%s: the key is forwarded: %v", method, has)
		}
	}
}

// TestOnlyTheGatewayNamesPersons: another service, an unknown key, another audience and nobody in particular are
// refused.
func TestOnlyTheGatewayNamesPersons(t *testing.T) {
	o := newOwner(func(o *owner) *Gateway { return gatewayOf(license, "http://auth", o.inProcess()) })
	o.handle = func(*gin.Context) error { t.Error("it was answered"); return nil }
	for name, tt := range map[string]struct {
		gateway *Gateway
		by      *Actor
	}{
		"another service":      {gatewayOf(analytics, "http://auth", o.inProcess()), ada},
		"unknown key":          {gatewayOf(NewIdentity("license"), "http://auth", o.inProcess()), ada},
		"another's key":        {gatewayOf(Identity{"license", analytics.Key}, "http://auth", o.inProcess()), ada},
		"another audience":     {NewGateway(license, "admin", "http://auth", HTTPClient(o.inProcess())), ada},
		"nobody in particular": {gatewayOf(license, "http://auth", o.inProcess()), nil},
		"nobody with an id":    {gatewayOf(license, "http://auth", o.inProcess()), &Actor{Name: "Ada"}},
		"no key":               {gatewayOf(Identity{Service: "license"}, "http://auth", o.inProcess()), ada},
	} {
		if _, err := tt.gateway.Get(t.Context(), tt.by, "/manage/a"); apierr.From(err) == nil ||
			apierr.From(err).Kind != apierr.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
	rec := httptest.NewRecorder()
	o.engine.ServeHTTP(rec, httptest.NewRequest("GET", "/manage/a", nil))
	if rec.Code != http.StatusUnauthorized ||
		!strings.Contains(o.log.String(), "analytics may not ask in the name of a person") {
		t.Errorf("%d, and the log says\n%s", rec.Code, o.log.String())
	}
}

// Reads are repeated when the connection broke, changes only when they never left.
func TestForwardRetries(t *testing.T) {
	refused := error(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
	reset := error(&net.OpError{Op: "read", Err: syscall.ECONNRESET})
	for name, tt := range map[string]struct {
		method string
		fails  []error
		tries  int64
		status int
	}{
		"nothing fails":        {"PATCH", nil, 1, 202},
		"refused":              {"PATCH", []error{refused, refused}, 3, 202},
		"refused for good":     {"PATCH", []error{refused, refused, refused, refused, refused}, 4, 503},
		"reset, may be there":  {"PATCH", []error{reset}, 1, 503},
		"reset, only a read":   {"GET", []error{reset, reset}, 3, 202},
		"reset for good, read": {"GET", []error{reset, reset, reset, reset, reset}, 4, 503},
	} {
		t.Run(name, func(t *testing.T) {
			w := &way{fails: tt.fails}
			o := newOwner(func(o *owner) *Gateway {
				server := httptest.NewServer(o.engine)
				t.Cleanup(server.Close)
				return gatewayOf(license, server.URL, w)
			})
			rec := o.ask(tt.method, "/manage/a", `{"a":1}`, nil)
			if rec.Code != tt.status || w.tried.Load() != tt.tries ||
				(rec.Code == 503) != (rec.Header().Get("Retry-After") != "") {
				t.Errorf("%d after %d tries, want %d after %d\n%s",
					rec.Code, w.tried.Load(), tt.status, tt.tries, rec.Body)
			}
			unknown := strings.Contains(rec.Body.String(), `"outcome":"unknown"`)
			if want := name == "reset, may be there"; unknown != want {
				t.Errorf("the outcome is said to be unknown: %v\n%s", unknown, rec.Body)
			}
			arrived := strings.Contains(rec.Body.String(), `{\"a\":1}`)
			if want := rec.Code == 202 && tt.method != http.MethodGet; arrived != want {
				t.Errorf("the body arrived: %v, want %v\n%s", arrived, want, rec.Body)
			}
		})
	}
}

// A license key in the query of a request must not come into the log of the gateway, whatever fails on the way.
func TestNoQueryIsLogged(t *testing.T) {
	const secret = "LIC-7QXT9M4KD2WP"
	for name, fails := range map[string]error{
		"no connection": &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		"cut":           &net.OpError{Op: "read", Err: syscall.ECONNRESET},
		"too late":      context.DeadlineExceeded,
	} {
		var log bytes.Buffer
		w := &way{fails: []error{fails, fails, fails, fails, fails}}
		front := httpx.NewEngine(httpx.Options{Service: "license", Log: obs.NewLogger(&log, "debug", "json")})
		g := gatewayOf(license, "http://auth", w)
		front.Any("/manage/*rest", httpx.Wrap(func(c *gin.Context) error { return g.Forward(c, ada) }))
		for _, method := range []string{"GET", "POST"} {
			front.ServeHTTP(httptest.NewRecorder(),
				httptest.NewRequest(method, "/manage/licenses?license_key="+secret, strings.NewReader("{}")))
		}
		if strings.Contains(log.String(), secret) || !strings.Contains(log.String(), "GET /manage/licenses at auth: ") {
			t.Errorf("%s: the log says\n%s", name, log.String())
		}
	}
}

// A refusal of the owner has its code in the gateway's log line, too.
func TestTheLogNamesTheCodeOfAnotherServicesRefusal(t *testing.T) {
	var log bytes.Buffer
	o := newOwner(func(o *owner) *Gateway { return gatewayOf(license, "http://auth", o.inProcess()) })
	o.handle = func(*gin.Context) error { return apierr.New(apierr.Conflict, "TAKEN", "taken") }
	front := httpx.NewEngine(httpx.Options{Service: "license", Log: obs.NewLogger(&log, "info", "json")})
	g := gatewayOf(license, "http://auth", o.inProcess())
	front.Any("/manage/*rest", httpx.Wrap(func(c *gin.Context) error { return g.Forward(c, ada) }))
	front.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/manage/a", strings.NewReader("{}")))
	if !strings.Contains(log.String(), `"error_code":"TAKEN"`) {
		t.Errorf("the log says\n%s", log.String())
	}
}

// A token that was overheard between services is good for the request that it was made for, and for no procedure.
func TestATokenInSomebodysNameIsForOneRequest(t *testing.T) {
	o := newOwner(func(o *owner) *Gateway { return gatewayOf(license, "http://auth", o.inProcess()) })
	token, err := newSigner(license, "auth", clock.System{}).sign(time.Now(), ada, "GET /manage/a")
	if err != nil {
		t.Fatal(err)
	}
	for request, status := range map[string]int{
		"GET /manage/a": 202, "GET /manage/a?b=c": 202, "POST /manage/a": 401, "GET /manage/b": 401,
		"GET /manage/%61": 401,
	} {
		method, uri, _ := strings.Cut(request, " ")
		r := httptest.NewRequest(method, uri, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		o.engine.ServeHTTP(rec, r)
		if rec.Code != status {
			t.Errorf("%s: %d %s, want %d", request, rec.Code, rec.Body, status)
		}
	}
	g := gate{newVerifier("auth", peers, clock.System{}), Callers{"/p": {"license"}}}
	if _, err := g.admit(t.Context(), connect.Spec{Procedure: "/p"}, connect.Peer{},
		http.Header{"Authorization": {"Bearer " + token}}); err == nil {
		t.Error("a procedure was admitted in the name of a person")
	}
}

// fixed answers every request alike.
type fixed struct {
	status int
	kind   string
	body   io.Reader
}

func (f fixed) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: f.status,
		Header:     http.Header{"Content-Type": {f.kind}},
		Body:       io.NopCloser(f.body),
		Request:    r,
	}, nil
}

type torn struct{}

func (torn) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What is not the peer's own answer never reaches a person.
func TestForwardOfForeignAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		answer fixed
		status int
	}{
		"a proxy without a backend": {fixed{502, "text/html", strings.NewReader("<h1>Bad Gateway</h1>")}, 503},
		"another program":           {fixed{200, "text/plain", strings.NewReader("hello")}, 500},
		"another program's file":    {fixed{200, FileType, strings.NewReader("hello")}, 500},
		"a redirect":                {fixed{302, "", strings.NewReader("")}, 500},
		"our token is refused":      {fixed{401, "application/json", strings.NewReader("{}")}, 500},
		"broken off": {fixed{200, "application/json", io.MultiReader(strings.NewReader("{"), torn{})},
			503},
		"too much": {fixed{200, "application/json", bytes.NewReader(make([]byte, maxAnswer+1))}, 500},
	} {
		o := newOwner(func(*owner) *Gateway { return gatewayOf(license, "http://auth", tt.answer) })
		rec := o.ask("POST", "/manage/a", "{}", nil)
		var e struct {
			ErrorCode string `json:"error_code"`
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || rec.Code != tt.status || e.ErrorCode == "" {
			t.Errorf("%s: %d %s, want %d (%v)", name, rec.Code, fmt.Sprintf("%.200s", rec.Body), tt.status, err)
		}
	}
}
