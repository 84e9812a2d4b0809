// Package brokerdefs makes deploy/rabbitmq/topology.json from the contracts of the queues and the events and from what
// the services watch.
package brokerdefs

import (
	"encoding/json"
	"io"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

const vhost = "latchkey"

// Users are the services as the broker knows them.
func Users() []amqp.User {
	return []amqp.User{
		{Name: auth.Name, Watches: auth.Watches()},
		{Name: license.Name, Watches: license.Watches()},
		{Name: analytics.Name, Watches: analytics.Watches()},
		{Name: admin.Name},
	}
}

// Write writes the definitions as JSON: those of the services, and an operator who may do everything.
func Write(w io.Writer) error {
	definitions := amqp.Define(vhost, bus.AllQueues(), Users())
	operator := amqp.Permission{User: "operator", VHost: vhost, Configure: ".*", Write: ".*", Read: ".*"}
	definitions.Permissions = append(definitions.Permissions, operator)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(definitions)
}
