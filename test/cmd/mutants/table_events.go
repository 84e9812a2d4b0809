//go:build unix

package main

const (
	outboxTests      = "./pkg/outbox"
	amqpTests        = "./pkg/bus/amqp"
	inprocTests      = "./pkg/bus/inproc"
	idempotencyTests = "./pkg/idempotency"
)

// events: what is acknowledged happened, and what happened is published.
var events = []mutant{
	{
		name: "event-outside-outbox", breaks: "a change of a license is told to this process alone, not written to the outbox",
		file: "services/license/internal/store/store.go",
		old:  "s.outbox.Add(ctx, tx, licenseID, s.clock.Now(), msg)",
		new:  "event.New(licensing.Source, licenseID, s.clock.Now(), msg)",
		pkg:  licenseStore, tests: "TestCreateAndRead",
	},
	{
		name: "event-of-activation-lost", breaks: "the statement of an activation writes no event",
		file: "services/license/internal/store/seat.go",
		old:  "FROM seat JOIN license ON id = license_id ORDER BY", new: "FROM seat JOIN license ON id = license_id WHERE false ORDER BY",
		pkg: licenseStore, tests: "TestActivationIsWholeOrNothing",
	},
	{
		name: "event-of-activation-unsent", breaks: "the event of an activation is in the log, but no relay ever finds it",
		file: "services/license/internal/store/seat.go",
		old:  "SELECT seq FROM event", new: "SELECT seq FROM event WHERE false",
		pkg: licenseStore, tests: "TestActivationIsWholeOrNothing",
	},
	{
		name: "event-outside-transaction", breaks: "an event is published although its change was rolled back",
		file: "pkg/outbox/outbox.go",
		old:  "	if err := o.insert(tx, e)",
		new:  "	if o.db.Engine() == db.Postgres {\n\t\ttx = o.db.Read(context.WithoutCancel(context.Background()))\n\t}\n\tif err := o.insert(tx, e)",
		pkg:  outboxTests, tests: "TestAnEventSharesTheFateOfItsTransaction",
	},
	{
		name: "event-tells-key", breaks: "an event carries a license key",
		file: "services/license/internal/licensing/bykey.go",
		old:  "Reason: refusal.Message, LicenseKeyHash: s.Lookup.KeyHash(NormalizeKey(key))", new: "Reason: refusal.Message, LicenseKeyHash: key",
		pkg: licenseAPI, tests: "TestValidate",
	},
	{
		name: "relay-sent-unconfirmed", breaks: "an event counts as sent although the bus did not confirm it (PostgreSQL)",
		file: "pkg/outbox/relay.go",
		old:  "		return publish(ctx, pub, rows)", new: "		_ = publish(ctx, pub, rows)\n\t\treturn nil",
		pkg: outboxTests, tests: "TestWhatTheBusDoesNotConfirmIsSentAgain",
	},
	{
		name: "relay-sent-unconfirmed-sqlite", breaks: "an event counts as sent although the bus did not confirm it (SQLite)",
		file: "pkg/outbox/relay.go",
		old: `	if err := publish(ctx, pub, rows); err != nil {
		return 0, err
	}
	list, err`,
		new: `	_ = publish(ctx, pub, rows)
	list, err`,
		pkg: outboxTests, tests: "TestWhatTheBusDoesNotConfirmIsSentAgain",
	},
	{
		name: "relay-claim-dropped", breaks: "a relay waits for what another has taken",
		file: "pkg/outbox/relay.go",
		old:  " FOR UPDATE SKIP LOCKED", new: "",
		pkg: outboxTests, tests: "TestASlowRelayHoldsUpNoOther",
	},
	{
		name: "relay-by-number", breaks: "a row that commits late is skipped",
		file: "pkg/outbox/relay.go",
		old:  "SELECT ctid FROM outbox_unsent ORDER BY",
		new:  "SELECT ctid FROM outbox_unsent WHERE seq > (SELECT coalesce(max(seq), 0) FROM outbox WHERE seq NOT IN (SELECT seq FROM outbox_unsent)) ORDER BY",
		pkg:  outboxTests, tests: "TestARowThatCommitsLateIsNotLost",
	},
	{
		name: "ack-before-commit", breaks: "RabbitMQ forgets an event before the handler has committed it",
		file: "pkg/bus/amqp/consume.go",
		old: `		if err := b.settle(ctx, deliverer, batch); err != nil {
			return err
		}
		if err := batch[len(batch)-1].Ack(true); err != nil {
			return err
		}`,
		new: `		if err := batch[len(batch)-1].Ack(true); err != nil {
			return err
		}
		if err := b.settle(ctx, deliverer, batch); err != nil {
			return err
		}`,
		pkg: amqpTests, tests: "TestConformance",
	},
	{
		name: "ack-before-commit-inproc", breaks: "the in-process bus confirms an event before the handler has committed it",
		file: "pkg/bus/inproc/queue.go",
		old: `		if err := deliverer.Deliver(ctx, events); err != nil {
			q.putBack(batch)
			return err
		}
		q.settle(batch)`,
		new: `		q.settle(batch)
		if err := deliverer.Deliver(ctx, events); err != nil {
			return err
		}`,
		pkg: inprocTests, tests: "TestConformanceOnSQLite",
	},
	{
		name: "dead-letter-dropped", breaks: "an event that cannot be handled is thrown away instead of becoming a dead letter",
		file: "pkg/bus/internal/delivery/delivery.go",
		old:  "			return d.giveUp(ctx, one[0], err.Error(), attempt)", new: "			return nil",
		pkg: inprocTests, tests: "TestConformanceOnSQLite",
	},
	{
		name: "body-believed", breaks: "a message brings an event that its publisher may not publish",
		file: "pkg/bus/amqp/origin.go",
		old:  "		if e.Type != key {", new: "		if e.Type == \"\" {",
		pkg: amqpTests, tests: "TestM10AQueueBelievesOnlyTheRoutingKey",
	},
	{
		name: "anyone-publishes", breaks: "the broker lets each service publish the events of all",
		file: "pkg/bus/amqp/definitions.go",
		old:  "if !slices.Contains(event.Publishers(eventType), u.Name) {", new: "if u.Name == \"\" {",
		pkg: "./test/compose", tests: "TestTopologyIsGenerated",
	},
	{
		name: "dead-letters-uncounted", breaks: "an operator does not see that events became dead letters",
		file: "pkg/bus/amqp/consume.go",
		old:  "		b.made[queue].Add(uint64(len(dead)))\n", new: "		_ = queue\n",
		pkg: amqpTests, tests: "TestConformance",
	},
	{
		name: "confirm-refused-is-fine", breaks: "a message that the broker refused counts as published",
		file: "pkg/bus/amqp/publish.go",
		old:  "	case !taken:\n		return errRefused", new: "	case !taken:\n		return nil",
		pkg: amqpTests, tests: "TestAFullQueueRefuses",
	},
	{
		name: "spill-before-outbox", breaks: "telemetry that was put aside overtakes the changes of state",
		file: "pkg/telemetry/spill.go",
		old:  "if waiting > 0 {", new: "if false {",
		pkg: "./pkg/telemetry", tests: "TestSpilledEventsFollowTheChangesOfState",
	},
	{
		name: "spill-not-drained", breaks: "telemetry that was put aside stays there for ever",
		file: "pkg/telemetry/spill.go",
		old:  "		if n, err := r.drainSome(ctx); err != nil || n == 0 {", new: "		if n, err := 0, error(nil); err != nil || n == 0 {",
		pkg: "./pkg/telemetry", tests: "TestSpilledEventsFollowTheChangesOfState",
	},
	{
		name: "spill-lost-at-end", breaks: "a graceful stop loses telemetry",
		file: "pkg/telemetry/telemetry.go",
		old:  "			ended = true\n", new: "			return\n",
		pkg: "./pkg/telemetry", tests: "TestAGracefulEndLosesNothing",
	},
	{
		name: "answer-forgotten", breaks: "an activation with an Idempotency-Key happens again when it is repeated",
		file: "services/license/internal/api/activate.go",
		old:  "a.Idempotency, key, func(ctx context.Context) (activateResponse, error) {",
		new:  "a.Idempotency, idempotency.Key{Request: key.Request}, func(ctx context.Context) (activateResponse, error) {",
		pkg:  licenseAPI, tests: "TestIdempotencyKey",
	},
	{
		name: "answer-outside-transaction", breaks: "the kept answer to an Idempotency-Key commits after the change, not with it",
		file: "pkg/idempotency/idempotency.go",
		old: `		func(_ context.Context, tx *gorm.DB) error { return s.keep(tx, r, result) })
`,
		new: `		func(context.Context, *gorm.DB) error { return nil })
	if err == nil {
		err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error { return s.keep(tx, r, result) })
	}
`,
		pkg: idempotencyTests, tests: "TestALeaseThatRanOutIsTakenOverAndFenced",
	},
	{
		name: "answer-fence-dropped", breaks: "a call that was taken over commits as well",
		file: "pkg/idempotency/reservation.go",
		old:  "SET answer = ? WHERE scope = ? AND key = ? AND owner = ? AND answer IS NULL",
		new:  "SET answer = ? WHERE scope = ? AND key = ? AND ? <> ''",
		pkg:  idempotencyTests, tests: "TestALeaseThatRanOutIsTakenOverAndFenced",
	},
	{
		name: "answer-to-another-request", breaks: "another request under the same Idempotency-Key gets the answer to the first",
		file: "pkg/idempotency/reservation.go",
		old:  "	case !bytes.Equal(before.Request, r.Request[:]):\n		return nil, ErrReused", new: "	case bytes.Equal(nil, r.Request[:]):\n		return nil, ErrReused",
		pkg: idempotencyTests, tests: "TestAnotherRequestUnderTheKeyIsRefused",
	},
}
