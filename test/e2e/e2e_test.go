//go:build unix

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/test/servers"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// sideBySide is how many tests run at the same time, each on a suite of its own. They wait more than they work: for
// processes that drain and start, for servers that are away, for intervals and deadlines.
const sideBySide = "3"

// pool holds the suites that tests take turns on, one test at a time: what it breaks, restarts or rotates is its own
// until it ends, and mended by then.
type pool struct {
	options suite.Options
	idle    chan *suite.Suite

	mu  sync.Mutex
	all []*suite.Suite
	err error // of the first that did not start: neither would the next
}

var embedded, processes = newPool(true, 1), newPool(false, 2)

func newPool(embedded bool, replicas int) *pool {
	return &pool{
		options: suite.Options{
			Embedded: embedded, Replicas: replicas,
			Settings: []string{"LATCHKEY_ADDRESS_LIMITS=false", "LATCHKEY_TOKEN_RATE_LIMIT=0",
				"LATCHKEY_TRUSTED_PROXIES=127.0.0.1"},
		},
		idle: make(chan *suite.Suite, 100),
	}
}

// take gives the caller an idle suite, or starts one, until it is put back into idle.
func (p *pool) take() (*suite.Suite, error) {
	select {
	case s := <-p.idle:
		return s, nil
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	s, err := suite.Start(context.Background(), p.options) // no test's context: the suite outlives it
	if p.err = err; err == nil {
		p.all = append(p.all, s)
	}
	return s, err
}

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", sideBySide) // a number, as it wants
	}
	code := m.Run()
	var ends sync.WaitGroup
	var unwell atomic.Bool
	for _, s := range slices.Concat(embedded.all, processes.all) {
		ends.Go(func() {
			if err := s.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, "e2e: a suite did not end well:", err)
				unwell.Store(true)
			}
		})
	}
	if ends.Wait(); unwell.Load() {
		code = 1
	}
	os.Exit(code)
}

// start lends the test a suite of a mode, beside other tests.
func start(t *testing.T, p *pool) *harness {
	t.Helper()
	t.Parallel()
	return alone(t, p)
}

// alone is start for a test that makes many calls at once of which none may be refused: services that get too little of
// the computer shed load.
func alone(t *testing.T, p *pool) *harness {
	t.Helper()
	s, err := p.take()
	w := started(t, s, err, p.options)
	t.Cleanup(func() { p.idle <- s })
	return w
}

// own starts a suite that other tests do not need.
func own(t *testing.T, o suite.Options) *harness {
	t.Helper()
	s, err := suite.Start(t.Context(), o)
	w := started(t, s, err, o)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error("the suite did not end well:", err)
		}
	})
	return w
}

func started(t *testing.T, s *suite.Suite, err error, o suite.Options) *harness {
	t.Helper()
	if errors.Is(err, servers.ErrNotInstalled) {
		testkit.NotCovered(t, "the four services on PostgreSQL and RabbitMQ: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &harness{T: t, Suite: s, embedded: o.Embedded}
	w.tellFailures()
	return w
}

// tellFailures has a failed test say what the processes logged as an error meanwhile: a client sees only that there was
// one.
func (w *harness) tellFailures() {
	began := map[string]int{}
	for _, p := range w.Processes {
		log, _ := os.ReadFile(p.Log()) // a process that has not logged yet
		began[p.Log()] = len(log)
	}
	w.Cleanup(func() {
		if !w.Failed() {
			return
		}
		for _, p := range w.Processes {
			log, _ := os.ReadFile(p.Log())
			for line := range bytes.Lines(log[min(began[p.Log()], len(log)):]) {
				if bytes.Contains(line, []byte(`"level":"ERROR"`)) || bytes.Contains(line, []byte(`"status":503`)) {
					w.Logf("%s: %s", p.Name, line)
				}
			}
		}
	})
}

// each runs a test on both suites.
func each(t *testing.T, test func(w *harness)) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) { test(start(t, embedded)) })
	t.Run("processes", func(t *testing.T) { test(start(t, processes)) })
}

// eachAlone is each for a test that must be alone.
func eachAlone(t *testing.T, test func(w *harness)) {
	t.Run("embedded", func(t *testing.T) { test(alone(t, embedded)) })
	t.Run("processes", func(t *testing.T) { test(alone(t, processes)) })
}

// harness is a running suite and the test that drives it.
type harness struct {
	*testing.T
	*suite.Suite
	embedded bool
}

// answer is what a service said.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	raw    []byte
}

func (a answer) code() string { code, _ := a.body["error_code"].(string); return code }

func (a answer) text(member string) string { s, _ := a.body[member].(string); return s }

var client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// try makes a call; err is a failure to get an answer at all.
func try(method, url, body string, headers ...string) (answer, error) {
	return tryBy(client, method, url, body, headers...)
}

func tryBy(client *http.Client, method, url, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.raw, err = io.ReadAll(resp.Body); err != nil {
		return answer{}, err
	}
	d := json.NewDecoder(bytes.NewReader(a.raw))
	_ = d.Decode(&a.body) // answers that are no object have no members
	return a, nil
}

// insist makes a call again, under one Idempotency-Key, while it is refused for now: services that get too little of
// the computer shed load.
func insist(method, url, body string, headers ...string) (answer, error) {
	headers = append(slices.Clone(headers), "Idempotency-Key", rand.Text())
	for deadline := time.Now().Add(patience); ; pause(20 * time.Millisecond) {
		a, err := try(method, url, body, headers...)
		again := err == nil && (a.status == http.StatusServiceUnavailable || a.code() == "IDEMPOTENCY_KEY_IN_USE")
		if !again || time.Now().After(deadline) {
			return a, err
		}
	}
}

// call makes a call that must be answered.
func (w *harness) call(method, url, body string, headers ...string) answer {
	w.Helper()
	a, err := try(method, url, body, headers...)
	if err != nil {
		w.Fatalf("%s %s: %v", method, url, err)
	}
	return a
}

func (w *harness) want(a answer, status int, code string) answer {
	w.Helper()
	if a.status != status || code != "" && a.code() != code {
		w.Fatalf("got %d %s, want %d %s", a.status, a.raw, status, code)
	}
	return a
}

func (w *harness) admin(method, path, body string, headers ...string) answer {
	w.Helper()
	return w.call(method, w.AdminURL+"/api/v1/admin"+path, body,
		append([]string{"X-Admin-API-Key", w.AdminAPIKey}, headers...)...)
}

func (w *harness) license(endpoint, body string) answer {
	w.Helper()
	return w.call(http.MethodPost, w.LicenseURL+"/api/v1/license/"+endpoint, body, "X-API-Key", w.APIKey)
}

func (w *harness) analytics(method, path string) answer {
	w.Helper()
	return w.call(method, w.AnalyticsURL+"/api/v1/analytics"+path, "", "X-API-Key", w.APIKey)
}

func (w *harness) create(body string) (id, key string) {
	w.Helper()
	a := w.want(w.admin(http.MethodPost, "/licenses", body), http.StatusCreated, "")
	return a.text("license_id"), a.text("license_key")
}

func device(key, hardwareID string) string {
	return fmt.Sprintf(`{"license_key":%q,"hardware_id":%q}`, key, hardwareID)
}

// patience is for what takes seconds: much longer, because the computer may be busy.
const patience = 3 * time.Minute

// eventually waits until cond is met.
func (w *harness) eventually(cond func() error) {
	w.Helper()
	testkit.Eventually(w.T, patience, cond)
}

// usage waits until analytics has counted so many of one kind for a license; yesterday's too, in case it has just
// turned midnight.
func (w *harness) usage(licenseID, member string, want int) {
	w.Helper()
	w.eventually(func() error {
		a, err := try(http.MethodGet, w.AdminURL+"/api/v1/admin/licenses/"+licenseID+"/usage?days=2", "",
			"X-Admin-API-Key", w.AdminAPIKey)
		if err != nil || a.status != http.StatusOK {
			return fmt.Errorf("usage: %d %s %v", a.status, a.raw, err)
		}
		totals, _ := a.body["totals"].(map[string]any)
		if got, _ := totals[member].(float64); int(got) != want {
			return fmt.Errorf("%s: %v, want %d", member, totals[member], want)
		}
		return nil
	})
}

// devices counts the active devices of a license as admin shows them, and what the license's counter says.
func (w *harness) devices(licenseID string) (active, counter int) {
	w.Helper()
	const perPage = 1000
	for page := 1; ; page++ {
		path := fmt.Sprintf("/licenses/%s/devices?page=%d&per_page=%d", licenseID, page, perPage)
		list := w.want(w.admin(http.MethodGet, path, ""), http.StatusOK, "").body["devices"].([]any)
		for _, d := range list {
			if d.(map[string]any)["is_active"] == true {
				active++
			}
		}
		if len(list) < perPage {
			break
		}
	}
	l := w.want(w.admin(http.MethodGet, "/licenses/"+licenseID, ""), http.StatusOK, "")
	return active, int(l.body["current_devices"].(float64))
}
