package amqp

import (
	"regexp"
	"slices"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

// User is a service as the broker knows it.
type User struct {
	// Name is the service's: the prefix of the queues that it consumes, and the name that event.Publishers has for it.
	Name string
	// Watches are the topic patterns of its watches; a service without any watches nothing.
	Watches []string
}

// Definitions is everything that RabbitMQ's definitions of one virtual host say, except for the users and their
// passwords. Its JSON is what load_definitions and the management API take.
//
// With these permissions a user publishes the types of its own service only, consumes its own queues and their dead
// letters, and declares nothing but the nameless queues of its watches. Three ways around the topic permissions are
// closed with that: nobody who may bind to or from one of the exchanges may declare another exchange, nobody may write
// to the default exchange, which leads to every queue, and a queue that may be declared with any dead-letter settings
// is met by the consumers (see checkOrigin).
type Definitions struct {
	VHosts           []Named           `json:"vhosts"`
	Permissions      []Permission      `json:"permissions"`
	TopicPermissions []TopicPermission `json:"topic_permissions"`
	Exchanges        []Exchange        `json:"exchanges"`
	Queues           []QueueDefinition `json:"queues"`
	Bindings         []Binding         `json:"bindings"`
}

// Named is a virtual host.
type Named struct {
	Name string `json:"name"`
}

// Permission says which exchanges and queues a user may use, by regular expressions of their names.
type Permission struct {
	User      string `json:"user"`
	VHost     string `json:"vhost"`
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// TopicPermission says which routing keys a user may publish and bind, by regular expressions.
type TopicPermission struct {
	User     string `json:"user"`
	VHost    string `json:"vhost"`
	Exchange string `json:"exchange"`
	Write    string `json:"write"`
	Read     string `json:"read"`
}

// Exchange is an exchange.
type Exchange struct {
	Name       string `json:"name"`
	VHost      string `json:"vhost"`
	Type       string `json:"type"`
	Durable    bool   `json:"durable"`
	AutoDelete bool   `json:"auto_delete"`
	Internal   bool   `json:"internal"`
}

// QueueDefinition is a queue.
type QueueDefinition struct {
	Name       string        `json:"name"`
	VHost      string        `json:"vhost"`
	Durable    bool          `json:"durable"`
	AutoDelete bool          `json:"auto_delete"`
	Arguments  amqp091.Table `json:"arguments"`
}

// Binding leads from an exchange to a queue.
type Binding struct {
	Source          string `json:"source"`
	VHost           string `json:"vhost"`
	Destination     string `json:"destination"`
	DestinationType string `json:"destination_type"`
	RoutingKey      string `json:"routing_key"`
}

// Define makes the definitions of a virtual host with these queues, used by these users.
func Define(vhost string, queues []bus.Queue, users []User) Definitions {
	queues = slices.Clone(queues)
	for i := range queues {
		queues[i] = queues[i].WithDefaults()
	}
	t, d := topologyOf(queues...), Definitions{VHosts: []Named{{vhost}}}
	for _, u := range users {
		d.Permissions = append(d.Permissions, u.permission(vhost, queues))
		d.TopicPermissions = append(d.TopicPermissions, u.topicPermissions(vhost)...)
	}
	for _, x := range t.exchanges {
		d.Exchanges = append(d.Exchanges, Exchange{Name: x.name, VHost: vhost, Type: x.kind, Durable: true})
	}
	for _, q := range t.queues {
		d.Queues = append(d.Queues, QueueDefinition{Name: q.name, VHost: vhost, Durable: true, Arguments: q.arguments})
	}
	for _, b := range t.bindings {
		d.Bindings = append(d.Bindings, Binding{
			Source: b.exchange, VHost: vhost, Destination: b.queue, DestinationType: "queue", RoutingKey: b.key,
		})
	}
	return d
}

// nameless matches the names that the broker gives to queues, and to nothing else: names with this prefix are refused
// to users.
const nameless = `amq\.gen-[A-Za-z0-9_-]+`

func (u User) permission(vhost string, queues []bus.Queue) Permission {
	var configure, read []string
	write := []string{regexp.QuoteMeta(exchange), regexp.QuoteMeta(invalidations)}
	if len(u.Watches) > 0 {
		configure, write = append(configure, nameless), append(write, nameless)
		read = append(read, regexp.QuoteMeta(invalidations), nameless)
	}
	for _, q := range queues {
		if strings.HasPrefix(q.Name, u.Name+".") {
			write = append(write, regexp.QuoteMeta(deadExchange(q.Name)))
			read = append(read, regexp.QuoteMeta(q.Name), regexp.QuoteMeta(deadQueue(q.Name)))
		}
	}
	return Permission{User: u.Name, VHost: vhost, Configure: oneOf(configure), Write: oneOf(write), Read: oneOf(read)}
}

func (u User) topicPermissions(vhost string) []TopicPermission {
	var publishes, invalidates, watches []string
	events, copies := keysOf(u.Name)
	for _, key := range events {
		publishes = append(publishes, regexp.QuoteMeta(key))
	}
	for _, key := range copies {
		invalidates = append(invalidates, regexp.QuoteMeta(key))
	}
	if len(u.Watches) > 0 {
		tick := regexp.QuoteMeta(tickKey(u.Name, "")) + nameless
		invalidates = append(invalidates, tick)
		for _, pattern := range u.Watches {
			watches = append(watches, regexp.QuoteMeta(pattern))
		}
		watches = append(watches, tick, regexp.QuoteMeta(tickPrefix)+"[a-z]+")
	}
	return []TopicPermission{
		{User: u.Name, VHost: vhost, Exchange: exchange, Write: oneOf(publishes), Read: oneOf(nil)},
		{User: u.Name, VHost: vhost, Exchange: invalidations, Write: oneOf(invalidates), Read: oneOf(watches)},
	}
}

// keysOf are the routing keys that a service publishes under: to the exchange of events, and to that of invalidations.
func keysOf(service string) (events, copies []string) {
	for _, eventType := range event.Types() {
		if !slices.Contains(event.Publishers(eventType), service) {
			continue
		}
		events = append(events, eventType)
		if !event.IsTelemetry(eventType) {
			copies = append(copies, eventType)
		}
	}
	return events, append(copies, signKey(service))
}

// oneOf is an expression that matches what one of the expressions matches, only the empty text when there is none.
func oneOf(expressions []string) string {
	if len(expressions) == 0 {
		return "^$"
	}
	return "^(" + strings.Join(expressions, "|") + ")$"
}
