package testkit

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// AMQP returns the URL of a fresh RabbitMQ virtual host, which is deleted when the test ends. Without a management URL
// in the environment it is the plain broker's, and the test must use names of its own.
func AMQP(t testing.TB) string {
	t.Helper()
	broker := server(t, envAMQP, "RabbitMQ broker")
	management := os.Getenv(envManagement)
	if management == "" {
		return broker
	}
	address, err := url.Parse(broker)
	if err != nil {
		t.Fatalf("%s cannot be read", envAMQP)
	}
	name := uniqueName()
	manage(t, http.MethodPut, management, "/api/vhosts/"+name, "")
	t.Cleanup(func() { manage(t, http.MethodDelete, management, "/api/vhosts/"+name, "") })
	user := address.User.Username()
	if user == "" {
		user = "guest"
	}
	manage(t, http.MethodPut, management, "/api/permissions/"+name+"/"+url.PathEscape(user),
		`{"configure":".*","write":".*","read":".*"}`)
	address.Path = "/" + name
	return address.String()
}

// AMQPTopics lets the user of address, which AMQP returned, publish to an exchange only under keys that match the
// regular expression write. Channels that are open may go on as before.
func AMQPTopics(t testing.TB, address, exchange, write string) {
	t.Helper()
	management := server(t, envManagement, "management API of RabbitMQ")
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address cannot be read")
	}
	body, err := json.Marshal(map[string]string{"exchange": exchange, "write": write, "read": ".*"})
	if err != nil {
		t.Fatal(err)
	}
	manage(t, http.MethodPut, management, "/api/topic-permissions"+at.Path+"/"+url.PathEscape(at.User.Username()),
		string(body))
}

// manage calls the management API of RabbitMQ.
func manage(t testing.TB, method, base, path, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+path, strings.NewReader(body))
	if err != nil {
		t.Fatalf("%s cannot be read", envManagement)
	}
	if user := req.URL.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("the management API of %s does not answer: %v", envManagement, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		t.Fatalf("%s %s: %s: %s", method, path, res.Status, text)
	}
}
