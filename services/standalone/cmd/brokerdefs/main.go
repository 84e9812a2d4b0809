// Command brokerdefs writes deploy/rabbitmq/topology.json from the contracts of the queues and the events and from what
// the services watch; scripts/gen runs it.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/analytics"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

const vhost = "latchkey"

func main() {
	definitions := amqp.Define(vhost, bus.AllQueues(), []amqp.User{
		{Name: auth.Name, Watches: auth.Watches()},
		{Name: license.Name, Watches: license.Watches()},
		{Name: analytics.Name, Watches: analytics.Watches()},
		{Name: admin.Name},
	})
	operator := amqp.Permission{User: "operator", VHost: vhost, Configure: ".*", Write: ".*", Read: ".*"}
	definitions.Permissions = append(definitions.Permissions, operator)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(definitions); err != nil {
		log.Fatal(err)
	}
}
