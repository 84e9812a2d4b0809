package outbox

import (
	"context"
	"testing"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// BenchmarkRelay sends a backlog from PostgreSQL to RabbitMQ; an operation is one event.
func BenchmarkRelay(b *testing.B) {
	d := testkit.Open(b, db.Config{URL: testkit.Postgres(b), Schema: "s"}, Migrations)
	queue := bus.Queue{Name: "bench", Types: []string{"license.#"}}
	events, err := amqp.Dial(amqp.Config{URL: testkit.AMQP(b), Name: "bench", Queues: []bus.Queue{queue}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = events.Close() }()
	if err := events.Await(b.Context()); err != nil {
		b.Fatal(err)
	}
	fill(b, d, b.N)
	ctx, cancel := context.WithCancel(b.Context())
	o, log, counted := New(d, "bench"), testkit.Log(b), &countdown{Publisher: events, left: b.N, end: cancel}
	b.ResetTimer()
	if err := o.Relay(ctx, counted, log); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// countdown ends the relay when the broker has confirmed everything.
type countdown struct {
	bus.Publisher
	left int
	end  func()
}

func (c *countdown) Publish(ctx context.Context, events []event.Event) error {
	err := c.Publisher.Publish(ctx, events)
	if c.left -= len(events); err == nil && c.left <= 0 {
		c.end()
	}
	return err
}

// fill writes n events that look like activations.
func fill(b *testing.B, d *db.DB, n int) {
	b.Helper()
	const insert = `WITH e AS (INSERT INTO outbox (id, type, source, subject, occurred_at, data)
		SELECT gen_random_uuid(), 'license.activated', 'latchkey/license', md5(n::text), now(), json_build_object(
			'license_id', gen_random_uuid(), 'device_id', gen_random_uuid(), 'hardware_id',
			md5(n::text), 'device_name', '', 'os_name', '',
			'os_version', '', 'app_version', '', 'session_id', '', 'ip', '127.0.0.1', 'returning',
			false, 'current_devices', 1,
			'max_devices', 100, 'version', 1)
		FROM generate_series(1, ?) AS n RETURNING seq)
		INSERT INTO outbox_unsent SELECT seq FROM e`
	err := d.Tx(b.Context(), func(_ context.Context, tx *gorm.DB) error { return tx.Exec(insert, n).Error })
	if err != nil {
		b.Fatal(err)
	}
}
