package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// Gateway forwards the requests of people to the peer service that owns what they ask for. The service token says who
// asks; the credential that proved it to the gateway is not forwarded. The peer admits such requests with RequireActor.
type Gateway struct {
	peer, url string
	client    *http.Client
	signer    *signer
}

// NewGateway makes the gateway of id to the internal port, at address, of the named peer service.
func NewGateway(id Identity, peer, address string, client *http.Client) *Gateway {
	return &Gateway{peer, strings.TrimSuffix(address, "/"), client, newSigner(id, peer, clock.System{})}
}

// FileType is the Content-Type of an answer that is a file. All others are JSON.
const FileType = "application/octet-stream"

// Answer is what a peer service answered: a status, headers, and JSON or a file.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// ownHeaders are the headers of an answer that belong to one connection.
var ownHeaders = []string{"Connection", "Content-Length", "Date", "Keep-Alive", "Transfer-Encoding"}

// maxAnswer caps what a peer service answers to a person, in bytes. The largest answers of a documented request, those
// to a bulk-create of 10 MiB and to a list of events, stay well below.
const maxAnswer = 32 << 20

// Forward answers the request of c as the peer service does. Both bodies are held whole, within their limits: a slow
// client costs the peer service nothing, what did not arrive there is sent again, and an answer that breaks off is an
// outage and not half an answer. Errors: ErrUnavailable when the peer service is away, with "outcome": "unknown" among
// its details when a change may have been made all the same; ErrInternal when the peer service does not know us.
func (g *Gateway) Forward(c *gin.Context, by *Actor) error {
	body, err := forwardedBody(c)
	if err != nil {
		return err
	}
	request := call{c.Request.Method, c.Request.URL.RequestURI(), forwardedHeader(c.Request), body}
	answer, err := g.ask(c.Request.Context(), by, request)
	if err != nil {
		return err
	}
	answer.Write(c)
	return nil
}

// forwardedBody is the body of a request, none for a GET, of which it means nothing.
func forwardedBody(c *gin.Context) ([]byte, error) {
	if c.Request.Method == http.MethodGet {
		return nil, nil
	}
	return httpx.Body(c)
}

// forwardedHeader is what an API reads of the headers of a request. Idempotency-Key comes with POST alone: net/http
// repeats a request that has one after a broken connection, and no other method honors it.
func forwardedHeader(r *http.Request) http.Header {
	names := []string{"Content-Type", "Content-Encoding", "If-Match"}
	if r.Method == http.MethodPost {
		names = append(names, "Idempotency-Key")
	}
	header := http.Header{}
	for _, name := range names {
		if values := r.Header.Values(name); len(values) > 0 {
			header[name] = values
		}
	}
	return header
}

// Get asks the peer service for what is at path, in the name of by. Errors are those of Forward; a refusal is an
// Answer.
func (g *Gateway) Get(ctx context.Context, by *Actor, path string) (*Answer, error) {
	return g.ask(ctx, by, call{http.MethodGet, path, http.Header{}, nil})
}

// Write makes a the answer to the request of c. The log line of the request names the code of a refusal.
func (a *Answer) Write(c *gin.Context) {
	if a.Status >= http.StatusBadRequest {
		var refusal struct {
			Code string `json:"error_code"`
		}
		_ = json.Unmarshal(a.Body, &refusal) // without a code the line has none
		httpx.ReportCode(c.Request.Context(), refusal.Code)
	}
	for name, values := range a.Header {
		if !slices.Contains(ownHeaders, name) {
			c.Writer.Header()[name] = values
		}
	}
	c.Data(a.Status, a.Header.Get("Content-Type"), a.Body)
}

// call is one request to a peer service.
type call struct {
	method, uri string
	header      http.Header
	body        []byte
}

// name is the method and the path of c, which the service token is good for.
func (c *call) name() string {
	path, _, _ := strings.Cut(c.uri, "?")
	return c.method + " " + path
}

func (g *Gateway) ask(ctx context.Context, by *Actor, request call) (*Answer, error) {
	token, err := g.signer.sign(g.signer.clock.Now(), by, request.name())
	if err != nil {
		return nil, apierr.ErrInternal.WithCause(err)
	}
	request.header.Set("Authorization", "Bearer "+token)
	request.header.Set(httpx.HeaderRequestID, httpx.RequestID(ctx))
	trace.ToHeader(ctx, request.header)
	for try := 0; ; try++ {
		answer, err := g.send(ctx, request)
		if err == nil {
			return answer, g.check(answer)
		}
		again := request.method == http.MethodGet || neverSent(err)
		if errors.Is(err, errTooLong) || !again || !tryAgain(ctx, try) {
			return nil, request.failure(err)
		}
	}
}

// errTooLong ends a call permanently: the peer service would answer the same again.
var errTooLong = fmt.Errorf("the answer has more than %d bytes", maxAnswer)

// failure is what the person is told when no answer came.
func (c *call) failure(err error) error {
	switch {
	case errors.Is(err, errTooLong):
		return apierr.ErrInternal.WithCause(err)
	case c.method == http.MethodGet || neverSent(err):
		return apierr.ErrUnavailable.WithCause(err)
	}
	return apierr.ErrUnavailable.WithMessagef(
		"a part of the system went away before it answered; the change may have been made: "+
			"look before you send it again, or send it again with the same Idempotency-Key or If-Match").
		With("outcome", "unknown").WithCause(err)
}

func (g *Gateway) send(ctx context.Context, request call) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, request.method, g.url+request.uri, bytes.NewReader(request.body))
	if err != nil {
		return nil, err
	}
	req.Header = request.header.Clone()
	res, err := g.client.Do(req)
	if err != nil {
		return nil, g.withoutQuery(request, err)
	}
	defer res.Body.Close()
	read, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(read) > maxAnswer {
		err = errTooLong
	}
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: read}, err
}

// withoutQuery is err as a log may show it: net/http names the whole URL, whose query may hold a license key or an
// address.
func (g *Gateway) withoutQuery(request call, err error) error {
	var way *url.Error
	if errors.As(err, &way) {
		err = way.Err
	}
	return fmt.Errorf("%s at %s: %w", request.name(), g.peer, err)
}

// check tells answers of the peer service from those of a proxy in front of it. A 401 means that it refused our service
// token, and says nothing about the credential of the person.
func (g *Gateway) check(a *Answer) error {
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	switch {
	case kind == FileType && a.Status == http.StatusCreated:
		return nil
	case kind != "application/json" && a.Status >= http.StatusInternalServerError:
		return apierr.ErrUnavailable.WithCause(fmt.Errorf("%s answered %d, which is not its own", g.peer, a.Status))
	case kind != "application/json":
		return apierr.ErrInternal.WithCause(fmt.Errorf("%s answered %d with Content-Type %q", g.peer, a.Status, kind))
	case a.Status == http.StatusUnauthorized:
		return apierr.ErrInternal.WithCause(fmt.Errorf("%s refused the service token: %s", g.peer, a.Body))
	}
	return nil
}
