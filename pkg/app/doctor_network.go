package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
)

// DiagnoseBroker looks at the broker at url and the queues of the service.
func (s Service) DiagnoseBroker(ctx context.Context, d *Diagnosis, url string) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout/2)
	defer cancel()
	broker, err := amqp.Dial(amqp.Config{
		URL: url, Name: s.Name + " doctor", Log: slog.New(slog.DiscardHandler), Queues: s.Queues,
	})
	if err != nil {
		d.Fail("broker", "correct LATCHKEY_AMQP_URL", "%v", err)
		return
	}
	defer broker.Close()
	if err := broker.Await(ctx); err != nil {
		detail, _, _ := strings.Cut(broker.State().Detail, "; ") // both connections fail the same way
		d.Fail("broker", brokerRemedy(detail), "cannot be used: %s", detail)
		return
	}
	if err := broker.TryPublish(ctx, s.Name); err != nil {
		d.Fail("broker", brokerRemedy(err.Error()), "does not accept what %s publishes: %v", s.Name, err)
		return
	}
	d.OK("broker", "answers, has all exchanges and queues, and takes what %s publishes", s.Name)
	for _, queue := range s.Queues {
		if strings.HasPrefix(queue.Name, s.Name+".") {
			s.diagnoseDeadLetters(ctx, d, broker, queue.Name)
		}
	}
}

func (s Service) diagnoseDeadLetters(ctx context.Context, d *Diagnosis, broker bus.Bus, queue string) {
	what := "dead letters"
	n, err := broker.DeadLetters(queue).Count(ctx)
	switch {
	case err != nil:
		d.Fail(what, "give the user of LATCHKEY_AMQP_URL its permissions: import what deploy/rabbitmq/definitions.sh "+
			"prints", "of %s cannot be counted: %v", queue, err)
	case n > 0:
		d.Warn(what,
			"'"+s.Name+" dead-letters list' says why; 'dead-letters replay' tries them again once it is mended",
			"%d events of %s could not be processed", n, queue)
	default:
		d.OK(what, "%s has none", queue)
	}
}

// brokerRemedies are what to do about a broker that cannot be used, by what the client says of it; the first that fits.
var brokerRemedies = []struct{ sign, remedy string }{
	{"takes no messages", "free memory or disk of the broker (rabbitmqctl list_alarms)"},
	{"NOT_FOUND - no ", "it was deleted, or the upgrade brings it: import what deploy/rabbitmq/definitions.sh prints"},
	{"connection refused", "nothing listens there: start RabbitMQ, or correct host and port in LATCHKEY_AMQP_URL"},
	{"no such host", "its name is not known: correct the host in LATCHKEY_AMQP_URL"},
	{"username or password not allowed",
		"correct user and password in LATCHKEY_AMQP_URL, or make the user: import what " +
			"deploy/rabbitmq/definitions.sh prints"},
	{"ACCESS_REFUSED", "the user lacks a permission: import what deploy/rabbitmq/definitions.sh prints"},
	{"vhost", "make the virtual host and let the user in (rabbitmqctl add_vhost, set_permissions -p), or " +
		"correct the end of LATCHKEY_AMQP_URL"},
	{"i/o timeout", "nothing answers there: look at the network and firewalls on the way"},
}

func brokerRemedy(detail string) string {
	for _, r := range brokerRemedies {
		if strings.Contains(detail, r.sign) {
			return r.remedy
		}
	}
	return ""
}

// diagnosePeers asks the peer services whether they take the calls of this one.
func (p *program) diagnosePeers(ctx context.Context, d *Diagnosis) {
	if p.Peers == nil {
		return
	}
	id, _, err := p.base().Internal(p.Name)
	if err != nil {
		d.Fail("peers", "make a pair of keys with the command internal-key", "%v", err)
		return
	}
	for _, peer := range slices.Sorted(slices.Values(p.Peers())) {
		p.diagnosePeer(ctx, d, id, peer)
	}
}

func (p *program) diagnosePeer(ctx context.Context, d *Diagnosis, id rpc.Identity, peer string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	what, setting := "peer "+peer, "LATCHKEY_"+strings.ToUpper(peer)+"_URL"
	url := strings.TrimSuffix(p.base().peerURL(peer), "/")
	at, err := rpc.Visit(ctx, id, peer, url, rpc.HTTPClient(nil))
	if !at.IsZero() {
		// The peer's time has no fractions of a second.
		d.clock(what+" clock", peer, time.Until(at.Add(time.Second/2)))
	}
	var name *net.DNSError
	switch {
	case err == nil:
		d.OK(what, "takes the calls of %s at %s", p.Name, url)
	case errors.Is(err, rpc.ErrNotKnown):
		d.Fail(what, "put "+id.PeerEntry()+" into LATCHKEY_INTERNAL_PEERS of "+peer+" and restart it",
			"at %s: %v, or its clock is wrong", url, err)
	case errors.Is(err, rpc.ErrNotThere):
		d.Fail(what, "set "+setting+" to the internal address of "+peer, "at %s: %v", url, err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &name):
		d.Fail(what, "start "+peer+", or set "+setting+" to its internal address", "cannot be reached at %s: %v", url,
			err)
	default:
		d.Fail(what, "look at "+setting+", and at the network on the way", "does not answer at %s: %v", url, err)
	}
}
