//go:build unix

package compose

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// overheard is what passed the two exchanges, as "service: routing key".
type overheard struct {
	mu   sync.Mutex
	seen map[string]bool
}

// listen hears everything on both exchanges, as the operator may.
func (c *composition) listen(t *testing.T) *overheard {
	t.Helper()
	ch := c.channelAsOperator(t)
	name, err := nameless(ch, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, exchange := range []string{events, invalidations} {
		if err := ch.QueueBind(name, "#", exchange, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	deliveries, err := ch.Consume(name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &overheard{seen: map[string]bool{}}
	go func() {
		for d := range deliveries { // until the connection is closed
			o.note(d)
		}
	}()
	return o
}

func (c *composition) channelAsOperator(t *testing.T) *amqp.Channel {
	t.Helper()
	ch, err := c.dial(t, "operator").Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func (o *overheard) note(d amqp.Delivery) {
	key := d.RoutingKey
	if service, _, tick := strings.Cut(strings.TrimPrefix(key, "tick."), "."); tick && strings.HasPrefix(key, "tick.") {
		key = "tick." + service
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen[d.Exchange+" "+d.AppId+" "+key] = true
}

// await waits until all of the wanted were heard.
func (o *overheard) await(t *testing.T, wanted ...string) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, w := range wanted {
			if !o.seen[w] {
				return fmt.Errorf("did not hear %q among %v", w, o.seen)
			}
		}
		return nil
	})
}

// guess asks for so many license keys that do not exist that it is an anomaly.
func (s slice) guess(t *testing.T, apiKey string) {
	t.Helper()
	for i := range 30 {
		body := map[string]any{"license_key": fmt.Sprintf("LIC-GUESSED%05d", i), "hardware_id": "guesser"}
		var answer struct{}
		ask(t, http.MethodPost, s.licenseURL+"/api/v1/license/validate", "X-API-Key", apiKey, body, http.StatusNotFound,
			&answer)
	}
}

// makeAdminKey makes an audit entry of the admin service itself, and waits until its log has it.
func (s slice) makeAdminKey(t *testing.T) {
	t.Helper()
	var answer struct{}
	ask(t, http.MethodPost, s.adminURL+"/api/v1/admin/keys", "X-Admin-API-Key", s.adminAPIKey,
		map[string]any{"name": t.Name(), "role": "viewer"}, http.StatusCreated, &answer)
	for _, action := range []string{"admin_key.create", "api_key.create", "license.create"} {
		testkit.Eventually(t, time.Minute, func() error {
			var log struct {
				Total int `json:"total"`
			}
			ask(t, http.MethodGet, s.adminURL+"/api/v1/admin/audit?action="+action, "X-Admin-API-Key", s.adminAPIKey,
				nil, http.StatusOK, &log)
			if log.Total == 0 {
				return errors.New("the audit log has no " + action)
			}
			return nil
		})
	}
}

// wantDeadLetter has a queue given something that nobody can read, and replays what became of it.
func (c *composition) wantDeadLetter(t *testing.T, service, key string) {
	t.Helper()
	if err := publishing(events, key)(c.channelAsOperator(t)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		testkit.Eventually(t, time.Minute, func() error {
			if out := c.deadLetters(t, service, "list"); strings.Count(out, "\n") != 2 { // the headings and one
				return fmt.Errorf("%s lists: %s", service, out)
			}
			return nil
		})
		if out := c.deadLetters(t, service, "replay"); !strings.HasPrefix(out, "1 ") {
			t.Errorf("%s replays: %s", service, out)
		}
	}
}

func (c *composition) deadLetters(t *testing.T, service, command string) string {
	t.Helper()
	cmd := c.command(t, service, []string{"dead-letters", command})
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s dead-letters %s: %v", service, command, err)
	}
	return string(out)
}
