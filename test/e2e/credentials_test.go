//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestDatabaseAndBrokerUsersAreReplacedUnderLoad walks the sequence of docs/operations.md: a second user with the
// rights of the first, a rolling restart to it, and back. No call fails, and no session of the former user is left
// after its turn.
func TestDatabaseAndBrokerUsersAreReplacedUnderLoad(t *testing.T) {
	w := alone(t, processes)
	former := w.user(w.Postgres.URL)
	w.sql("CREATE ROLE second LOGIN PASSWORD 'second-password' IN ROLE " + former)
	w.sql("ALTER ROLE second SET role = '" + former + "'")
	w.brokerAPI(http.MethodPut, "/api/users/second", `{"password":"second-password","tags":""}`)
	w.brokerAPI(http.MethodPut, "/api/permissions/%2F/second", `{"configure":".*","write":".*","read":".*"}`)
	r := w.behindGateway()
	id, key := w.create(`{"customer_id":"credentials","max_devices":1000000}`)
	stop := r.load(3, r.journeys(id, key))
	for _, next := range []struct{ database, broker, user string }{
		{as(w.Postgres.URL, "second"), as(w.RabbitMQ.URL, "second"), "second"},
		{w.Postgres.URL, w.RabbitMQ.URL, former},
	} {
		for _, p := range w.Processes {
			p.Set("LATCHKEY_DATABASE_URL="+next.database, "LATCHKEY_AMQP_URL="+next.broker)
			w.restart(p.Name)
		}
		if n := w.countIn("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'latchkey-%' " +
			"AND usename <> '" + next.user + "'"); n != 0 {
			t.Errorf("%d sessions of the former user are left", n)
		}
	}
	if stop() == 0 {
		t.Error("there was no load")
	}
	w.works()
}

// as is an address with another user.
func as(address, user string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // ours
	}
	u.User = url.UserPassword(user, "second-password")
	return u.String()
}

func (w *harness) user(address string) string {
	w.Helper()
	u, err := url.Parse(address)
	if err != nil {
		w.Fatal(err)
	}
	return u.User.Username()
}

func (w *harness) countIn(query string) (n int) {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.Postgres.URL)
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close(w.Context())
	if err := conn.QueryRow(w.Context(), query).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}

// brokerAPI asks RabbitMQ's management API to change something.
func (w *harness) brokerAPI(method, path, body string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.RabbitMQ.ManagementURL+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		w.Fatal(fmt.Errorf("%s %s: %s", method, path, res.Status))
	}
}
