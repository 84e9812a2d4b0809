//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/services/license"
)

func TestPgbenchKnowsItsVariables(t *testing.T) {
	for _, sql := range []string{oneStatement, plainTransaction} {
		for _, variable := range regexp.MustCompile(`[^:](:[A-Za-z0-9_]+)`).FindAllStringSubmatch(sql, -1) {
			if variable[1] != ":license" && variable[1] != ":hardware" {
				t.Errorf("pgbench would take %s for a variable", variable[1])
			}
		}
	}
}

// TestPgbenchDoesTheWorkOfAnActivation: the baseline counts the seat, and writes the device and the event.
func TestPgbenchDoesTheWorkOfAnActivation(t *testing.T) {
	url := testkit.Postgres(t)
	testkit.Open(t, db.Config{URL: url, Schema: "license"}, license.Migrations...)
	if err := fill(t.Context(), url, strings.Repeat("A", 43), 1); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for hardware, statements := range []string{oneStatement, plainTransaction} {
		values := strings.NewReplacer(":license", "1", ":hardware", strconv.Itoa(hardware))
		if _, err := conn.PgConn().Exec(t.Context(), "SET search_path = license; "+values.Replace(statements)).
			ReadAll(); err != nil {
			t.Fatal(err)
		}
		var seats, version, devices, events int
		err := conn.QueryRow(t.Context(), `SELECT current_devices,
			version, (SELECT count(*) FROM devices WHERE is_active),
			(SELECT count(*) FROM outbox JOIN outbox_unsent USING (seq)
			WHERE type = 'license.activated' AND subject = licenses.id::text) FROM licenses`).
			Scan(&seats, &version, &devices, &events)
		if want := hardware + 2; err != nil || seats != want || version != want || devices != want || events != want-1 {
			t.Errorf("%d seats, version %d, %d devices, %d events after\n%s: %v",
				seats, version, devices, events, statements, err)
		}
	}
}

func TestBaselineReadsAndAnswersAsValidateDoes(t *testing.T) {
	for body, want := range map[string]int{
		`{"license_key":"LIC-000000000001","hardware_id":"0000000000000001"}`: http.StatusOK,
		`{"license_key":7}`: http.StatusBadRequest,
		`{`:                 http.StatusBadRequest,
	} {
		w := httptest.NewRecorder()
		baseline().ServeHTTP(w, newRequest([]byte(body), ""))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", body, w.Code, want)
		}
		if want != http.StatusOK {
			continue
		}
		const answer = `{"valid":true,"license_id":"00000000-0000-7000-8000-000000000001",` +
			`"product":"bench","policy":null,"expires_at":"2099-01-01T00:00:00Z","features":["pro"],` +
			`"limits":{"max_devices":1000000,"current_devices":1},"cached":true,"license_type":"time-limited",` +
			`"is_trial":false,"status":"active"}`
		if diff := cmp.Diff(answer, w.Body.String()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNumbersMakeLicenses(t *testing.T) {
	for n, want := range map[int64]string{
		1:         "LIC-000000000001",
		31:        "LIC-00000000000Z",
		32:        "LIC-000000000010",
		1_000_000: "LIC-00000000YGJ0",
	} {
		if got := licenseKey(n); got != want {
			t.Errorf("key of %d is %s, want %s", n, got, want)
		}
		if id := uuid.UUID(uuidOf(n, 0)).String(); id != licenseID(n) {
			t.Errorf("id of %d is %s in binary and %s in text", n, id, licenseID(n))
		}
		if uuidOf(n, 0) == uuidOf(n, 1) {
			t.Error("a device has the id of a license")
		}
	}
}

func TestFrame(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
	for raw, want := range map[string]int{
		"": -1, "HTTP/1.1 200 OK\r\nContent-": -1, head: len(head) + 2, head + "{}": len(head) + 2,
	} {
		if _, whole, err := frame([]byte(raw)); whole != want || err != nil {
			t.Errorf("%q: %d, %v; want %d", raw, whole, err, want)
		}
	}
	for _, raw := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"} {
		if _, _, err := frame([]byte(raw)); err == nil {
			t.Errorf("%q is taken for an answer", raw)
		}
	}
}

// counting answers validations, every fourth one wrongly.
type counting struct {
	mu    sync.Mutex
	asked map[string]int
}

func (h *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body baselineRequest
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("X-API-Key") != "key" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.asked[body.LicenseKey+" "+body.HardwareID]++
	h.mu.Unlock()
	var n int64
	fmt.Sscanf(body.HardwareID, "%x", &n)
	answered := n
	if n%4 == 0 {
		answered++ // the answer about another license
	}
	fmt.Fprintf(w, `{"valid":true,"license_id":%q}`, licenseID(answered))
}

func TestDriveCountsWhatIsWrong(t *testing.T) {
	h := &counting{asked: map[string]int{}}
	server := httptest.NewServer(h)
	defer server.Close()
	const count = 1000
	o, err := drive(t.Context(), validation(server.URL, "key"), 0, each(count))
	if err != nil {
		t.Fatal(err)
	}
	if o.requests != count || o.wrong != count/4 || o.first == nil || len(o.latencies) != count ||
		o.percentile(0.99) == 0 {
		t.Errorf("%d requests, %d wrong (%v), %d latencies", o.requests, o.wrong, o.first, len(o.latencies))
	}
	for n := int64(1); n <= count; n++ {
		if times := h.asked[licenseKey(n)+" "+hardwareID(n)]; times != 1 {
			t.Fatalf("license %d was asked for %d times", n, times)
		}
	}
	timed, err := drive(t.Context(), validation(server.URL, "key"), 50*time.Millisecond, anyOf(count))
	if err != nil || timed.requests == 0 || timed.took < 50*time.Millisecond || timed.took > 10*time.Second {
		t.Errorf("%d requests in %v: %v", timed.requests, timed.took, err)
	}
	server.Close()
	if _, err := drive(t.Context(), validation(server.URL, "key"), 0, each(count)); err == nil {
		t.Error("a target that is away goes unnoticed")
	}
}

func TestReport(t *testing.T) {
	p := newReport()
	good := p.ratio("good", 0.6, 0.75)
	for _, v := range []float64{0.9, 0.5, 0.8, 0.7} {
		good.add(v)
	}
	p.info("rate", "/s").add(123.4)
	slow := p.atMost(row{Name: "slow", Unit: "ms", Aim: new(100.0)})
	slow.add(140)
	if good.median() != 0.75 || good.verdict() != "ok" || slow.verdict() != "below aim" || p.missed() {
		t.Errorf("median %v, %s, %s, missed %v", good.median(), good.verdict(), slow.verdict(), p.missed())
	}
	var table, asJSON strings.Builder
	if err := p.writeTable(&table); err != nil || !strings.Contains(table.String(), "0.50 - 0.90") ||
		!strings.Contains(table.String(), "123 /s") {
		t.Errorf("%v\n%s", err, table.String())
	}
	if err := p.writeJSON(&asJSON); err != nil || !json.Valid([]byte(asJSON.String())) ||
		!strings.Contains(asJSON.String(), `"median": 0.75`) {
		t.Errorf("%v\n%s", err, asJSON.String())
	}
	wrong := p.atMost(row{Name: "wrong answers", Floor: new(0.0)})
	if !p.missed() {
		t.Error("what was never measured passes")
	}
	wrong.count(0)
	if p.missed() {
		t.Error("no wrong answer is too many")
	}
	wrong.count(1)
	wrong.count(0)
	wrong.count(0)
	if !p.missed() || wrong.verdict() != "MISSED" {
		t.Error("wrong answers pass")
	}
}

func TestCountStatements(t *testing.T) {
	var sent bytes.Buffer
	message := func(kind, body string) {
		sent.WriteString(kind)
		_ = binary.Write(&sent, binary.BigEndian, uint32(len(body)+4))
		sent.WriteString(body)
	}
	message("", "\x00\x03\x00\x00user\x00Q\x00\x00") // the first message has no type
	message("Q", "BEGIN\x00")
	message("P", "E\x00")
	message("B", "QQ")
	message("E", "\x00\x00\x00\x00\x00")
	message("S", "")
	want := sent.String()
	r, passed := &relay{}, &bytes.Buffer{}
	if err := countStatements(r, passed, &sent); err != io.EOF {
		t.Fatal(err)
	}
	if r.count.Load() != 2 || passed.String() != want {
		t.Errorf("%d statements, want 2; passed on %q", r.count.Load(), passed.String())
	}
}

func TestProcessReadings(t *testing.T) {
	pid := os.Getpid()
	begin := cpuSeconds(pid)
	if residentMB(pid) == 0 {
		t.Skip("no /proc here")
	}
	deadline := time.Now().Add(10 * time.Second)
	for cpuSeconds(pid) <= begin {
		if time.Now().After(deadline) {
			t.Fatal("a busy process uses no processor time")
		}
	}
}

func TestOptions(t *testing.T) {
	o, err := parse([]string{"--quick", "--only", "start,growth"})
	if err != nil || o.rounds != 5 || o.span != time.Second {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"--only", "nothing"}, {"--rounds", "0"}, {"more"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
