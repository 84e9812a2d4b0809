package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/collector"
	"github.com/latchkey-dev/latchkey/services/standalone/client"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// A caller's trace, which it does not want to be sampled: it is all the same.
const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
	callersFlags = "00"
)

// What a request causes is one trace, from the call over the database, the outbox and the bus to the consumer, and from
// one service to another, on either kind of database and bus; and nothing in it is a secret.
func TestARequestIsOneTrace(t *testing.T) {
	for name, setUp := range map[string]func(*testing.T){
		"in one process": func(*testing.T) {},
		"PostgreSQL and RabbitMQ": func(t *testing.T) {
			t.Setenv("LATCHKEY_DATABASE_URL", testkit.Postgres(t))
			t.Setenv("LATCHKEY_AMQP_URL", testkit.AMQP(t))
		},
	} {
		t.Run(name, func(t *testing.T) {
			setUp(t)
			spans := collector.New(t)
			spans.Configure(t)
			c, _, stop := start(t, anyPort(t.TempDir()))
			defer stop()
			if c.LicenseKey == "" {
				owner := client.Client{
					AuthURL: c.AuthURL, AdminURL: c.AdminURL, AdminSecret: c.AdminSecret, AdminAPIKey: c.AdminAPIKey,
				}
				if err := makeDemo(t.Context(), owner, &c); err != nil {
					t.Fatal(err)
				}
			}
			j := journey{t, c, spans}
			j.activate()
			j.peerCall()
			j.oddRequests()
			j.nothingSecret()
		})
	}
}

type journey struct {
	*testing.T
	credentials.Credentials
	spans *collector.Collector
}

// send makes a call with a JSON body, and returns its status.
func (j journey) send(method, url, body string, header ...string) int {
	j.Helper()
	req, err := http.NewRequestWithContext(j.Context(), method, url, strings.NewReader(body))
	if err != nil {
		j.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		j.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// await waits until a trace has a span of each "service name", and returns its spans by that.
func (j journey) await(trace string, wanted ...string) map[string]collector.Span {
	j.Helper()
	found := map[string]collector.Span{}
	testkit.Eventually(j, 20*time.Second, func() error {
		for _, s := range j.spans.Spans() {
			if s.Trace == trace {
				found[strings.TrimPrefix(s.Service, "latchkey-")+" "+s.Name] = s
			}
		}
		for _, name := range wanted {
			if _, ok := found[name]; !ok {
				return fmt.Errorf("no span %q among %v", name, slices.Sorted(maps.Keys(found)))
			}
		}
		return nil
	})
	return found
}

// activate looks at an activation.
func (j journey) activate() {
	j.Helper()
	body := fmt.Sprintf(`{"license_key":%q,"hardware_id":"secret-hardware"}`, j.LicenseKey)
	if status := j.send("POST", j.LicenseURL+"/api/v1/license/activate", body, "X-API-Key", j.APIKey,
		"Traceparent", "00-"+callersTrace+"-"+callersSpan+"-"+callersFlags); status != http.StatusCreated {
		j.Fatalf("activate answers %d", status)
	}
	const (
		call      = "license POST /api/v1/license/activate"
		published = "license send license.activated"
		taken     = "analytics process license.activated"
	)
	found := j.await(callersTrace, call, "license activate devices", published, taken)
	for child, parent := range map[string]string{
		"license activate devices": call, published: call, taken: published,
	} {
		if found[child].Parent != found[parent].ID {
			j.Errorf("%s is not below %s: %+v", child, parent, found)
		}
	}
	if found[call].Parent != callersSpan {
		j.Errorf("the call is not below the caller's span: %+v", found[call])
	}
	j.awaitStatement(found["license activate devices"])
	j.awaitStatement(found[taken])
}

// awaitStatement waits for a statement of a work: below its span, or below that which it links to, where the work was
// done for others, too.
func (j journey) awaitStatement(work collector.Span) {
	j.Helper()
	testkit.Eventually(j, 20*time.Second, func() error {
		for _, s := range j.spans.Spans() {
			if s.Attributes["db.query.text"] != "" && slices.Contains(append(work.Links, work.ID), s.Parent) {
				return nil
			}
		}
		return fmt.Errorf("no statement of %+v", work)
	})
}

// peerCall looks at a call that another service is asked for.
func (j journey) peerCall() {
	j.Helper()
	const trace = "1af7651916cd43dd8448eb211c80319c"
	body := fmt.Sprintf(`{"license_id":%q,"hardware_id":"secret-hardware"}`, j.LicenseID)
	if status := j.send("POST", j.AuthURL+"/api/v1/auth/token", body, "X-API-Key", j.APIKey,
		"Traceparent", "00-"+trace+"-"+callersSpan+"-01"); status != http.StatusOK {
		j.Fatalf("the token is answered with %d", status)
	}
	const procedure = "latchkey.license.v1.LicenseService/CheckDevice"
	found := j.await(trace, "auth POST /api/v1/auth/token", "auth "+procedure, "license "+procedure)
	for child, parent := range map[string]string{
		"auth " + procedure:    "auth POST /api/v1/auth/token",
		"license " + procedure: "license POST /latchkey.license.v1.LicenseService/*method",
		"license POST /latchkey.license.v1.LicenseService/*method": "auth " + procedure,
	} {
		if found[child].Parent != found[parent].ID {
			j.Errorf("%s is not below %s: %+v", child, parent, found)
		}
	}
}

// oddRequests puts secrets where they do not belong.
func (j journey) oddRequests() {
	j.Helper()
	j.send("GET", j.LicenseURL+"/nowhere/"+j.LicenseKey+"?key="+j.LicenseKey, "", "X-API-Key", j.APIKey)
	j.send(strings.ReplaceAll(j.LicenseKey, "-", ""), j.LicenseURL+"/api/v1/license/validate", "{}")
	j.send("GET", j.AdminURL+"/api/v1/admin/licenses?customer_email=secret@example.com", "",
		"X-Admin-API-Key", j.AdminAPIKey, "User-Agent", "secret-agent", "Baggage", "a=secret-baggage",
		"Traceparent", "00-2af7651916cd43dd8448eb211c80319c-"+callersSpan+"-01", "Tracestate", "a=secret-state")
	j.await("2af7651916cd43dd8448eb211c80319c", "admin GET /api/v1/admin/licenses",
		"license GET /api/v1/admin/licenses")
}

// nothingSecret looks for what callers sent in everything that was exported.
func (j journey) nothingSecret() {
	j.Helper()
	for _, s := range []string{j.LicenseKey, strings.ReplaceAll(j.LicenseKey, "-", ""), j.APIKey, j.AdminAPIKey,
		j.AdminSecret, "secret-", "secret@", "client.address", "user_agent", "url.path", "url.query"} {
		if bytes.Contains(j.spans.Raw(), []byte(s)) {
			j.Errorf("the exported spans have %q", s)
		}
	}
}

// A collector that does not answer fails no request, and the program ends in time all the same.
func TestASilentCollectorHoldsNothingUp(t *testing.T) {
	over := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	defer silent.Close()
	defer close(over)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", silent.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
	c, _, stop := start(t, anyPort(t.TempDir()))
	if status := validate(t, c, "activate"); status != http.StatusCreated {
		t.Errorf("activate answers %d", status)
	}
	for range 5 {
		if status := validate(t, c, "validate"); status != http.StatusOK {
			t.Errorf("validate answers %d", status)
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stop()
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the program does not end while the collector is silent")
	}
}
