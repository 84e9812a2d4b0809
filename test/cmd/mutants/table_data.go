//go:build unix

package main

const (
	licenseStore   = "./services/license/internal/store"
	licenseAPI     = "./services/license"
	authTests      = "./services/auth"
	outboxTests    = "./pkg/outbox"
	amqpTests      = "./pkg/bus/amqp"
	answerTests    = "./pkg/idempotency"
	analyticsStore = "./services/analytics/internal/store"
)

// seats: never more devices than seats, on either engine.
var seats = []mutant{
	{
		name:   "seat-guard-dropped",
		breaks: "the statement of an activation does not ask whether a seat is free",
		dir:    "services/license/internal/store",
		edit:   replace(" AND current_devices + place <= max_devices", ""),
		pkg:    licenseStore, tests: "TestActivationIsWholeOrNothing TestSeatRace",
	},
	{
		name:   "seat-guard-dropped-sqlite",
		breaks: "a batch on SQLite does not ask whether a seat is free",
		dir:    "services/license/internal/store",
		edit:   replace(" && l.CurrentDevices+l.asked <= l.MaxDevices", ""),
		pkg:    licenseStore, tests: "TestABatchOfManyOutcomes TestSeatRace",
	},
	{
		name:   "seat-counted-without-device",
		breaks: "a seat is counted for which there is no device",
		dir:    "services/license/internal/store",
		edit:   replace("wanted JOIN device ON id = device_id", "wanted JOIN license ON id = license_id"),
		pkg:    licenseStore, tests: "TestActivationIsWholeOrNothing TestSeatRace",
	},
	{
		name:   "seat-statement-unlocked",
		breaks: "the statement of an activation counts on a state that others are changing",
		dir:    "services/license/internal/store",
		edit:   replace(" FOR NO KEY UPDATE OF l SKIP LOCKED", ""),
		pkg:    licenseStore, tests: "TestSeatRace TestALicenseThatSomebodyHoldsIsSkipped",
	},
	{
		name:   "seat-lock-dropped",
		breaks: "two changes of a license read the same state",
		dir:    "services/license/internal/store",
		in:     "lockLicense",
		edit:   replace("d.Lock(tx)", "tx"),
		pkg:    licenseStore, tests: "TestSeatRace",
	},
	{
		name:   "bulk-locks-late",
		breaks: "a bulk change locks a group before licenses that activations have locked",
		dir:    "services/license/internal/licensing",
		in:     "Apply",
		edit:   replace("s.Store.Lock(ctx, ids)", "s.Store.Lock(ctx, nil)"),
		pkg:    licenseAPI, tests: "TestBulkIntoAGroupBesideActivations",
	},
	{
		name:   "seat-tried-twice",
		breaks: "an activation is tried again although the first try may have been committed",
		dir:    "services/license/internal/store",
		in:     "runBatch",
		edit: replace("!errors.Is(err, apierr.ErrUnavailable)",
			"(err != nil || !errors.Is(err, apierr.ErrUnavailable))"),
		pkg: licenseStore, tests: "TestNobodyTriesAgainAfterAnOutage",
	},
}

// events: what is acknowledged happened, and what happened is published and counts once.
var events = []mutant{
	{
		name:   "event-outside-outbox",
		breaks: "a change of a license is told to this process alone, not written to the outbox",
		dir:    "services/license/internal/store",
		in:     "publish",
		edit:   replace("s.outbox.Add(ctx, tx,", "event.New(licensing.Source,"),
		pkg:    licenseStore, tests: "TestCreateAndRead",
	},
	{
		name:   "event-of-activation-unsent",
		breaks: "the event of an activation is in the log, but no relay ever finds it",
		dir:    "services/license/internal/store",
		edit:   replace("SELECT seq FROM event", "SELECT seq FROM event WHERE false"),
		pkg:    licenseStore, tests: "TestActivationIsWholeOrNothing",
	},
	{
		name:   "event-outside-transaction",
		breaks: "an event is published although its change was rolled back",
		dir:    "pkg/outbox",
		in:     "AddAll",
		edit:   replace("db.Pipeline(tx,", "db.Pipeline(o.db.Read(context.Background()),"),
		pkg:    outboxTests, tests: "TestAnEventSharesTheFateOfItsTransaction",
	},
	{
		name:   "event-tells-key",
		breaks: "an event carries a license key",
		dir:    "services/license/internal/licensing",
		in:     "UseRefused",
		edit:   replace("s.keyHash(key)", "key"),
		pkg:    licenseAPI, tests: "TestValidate",
	},
	{
		name:   "relay-sent-unconfirmed",
		breaks: "an event counts as sent although the bus did not confirm it",
		dir:    "pkg/outbox",
		in:     "publish",
		edit:   never("err != nil"),
		pkg:    outboxTests, tests: "TestWhatTheBusDoesNotConfirmIsSentAgain",
	},
	{
		name:   "relay-claim-dropped",
		breaks: "a relay waits for what another has taken",
		dir:    "pkg/outbox",
		edit:   replace(" FOR UPDATE SKIP LOCKED", ""),
		pkg:    outboxTests, tests: "TestASlowRelayHoldsUpNoOther",
	},
	{
		name:   "ack-before-commit",
		breaks: "RabbitMQ forgets an event before the handler has committed it",
		dir:    "pkg/bus/amqp",
		in:     "consume",
		edit:   earlier("Ack(true)"),
		pkg:    amqpTests, tests: "TestConformance",
	},
	{
		name:   "dead-letter-dropped",
		breaks: "an event that cannot be handled is thrown away instead of becoming a dead letter",
		dir:    "pkg/bus/internal/delivery",
		edit:   replace("d.giveUp(ctx, one[0], err.Error(), attempt)", "nil"),
		pkg:    "./pkg/bus/inproc", tests: "TestConformanceOnSQLite",
	},
	{
		name:   "body-believed",
		breaks: "a message brings an event that its publisher may not publish",
		dir:    "pkg/bus/amqp",
		edit:   never("e.Type != key"),
		pkg:    amqpTests, tests: "TestAQueueBelievesOnlyTheRoutingKey",
	},
	{
		name:   "anyone-publishes",
		breaks: "the broker lets each service publish the events of all",
		dir:    "pkg/bus/amqp",
		in:     "keysOf",
		edit:   never("!slices.Contains(event.Publishers"),
		pkg:    "./test/compose", tests: "TestTopologyIsGenerated",
	},
	{
		name:   "confirm-refused-is-fine",
		breaks: "a message that the broker refused counts as published",
		dir:    "pkg/bus/amqp",
		in:     "await",
		edit:   replace("case !taken:", "case !taken && false:"),
		pkg:    amqpTests, tests: "TestAFullQueueRefuses",
	},
	{
		name:   "telemetry-lost-at-end",
		breaks: "a graceful stop loses telemetry",
		dir:    "pkg/telemetry",
		in:     "collect",
		edit:   replace("ended = true", "return"),
		pkg:    "./pkg/telemetry", tests: "TestAGracefulEndLosesNothing",
	},
	{
		name:   "inbox-unchecked",
		breaks: "an event that is delivered twice counts twice",
		dir:    "services/analytics/internal/store",
		edit:   replace("s.db.Engine(), telemetry)", "s.db.Engine(), telemetry[:0])"),
		pkg:    analyticsStore, tests: "TestStore",
	},
	{
		name:   "epoch-unchecked",
		breaks: "a consumer that was replaced goes on writing",
		dir:    "services/analytics/internal/store",
		edit:   never("current != epoch"),
		pkg:    "./services/analytics/internal/ingest", tests: "TestFencing",
	},
	{
		name:   "slots-uncounted",
		breaks: "a floating license whose slots are in use is accused of sharing",
		dir:    "services/analytics/internal/decode",
		in:     "seatlessSlots",
		edit:   replace("int(f.GetSlots())", "0"),
		pkg:    "./services/analytics/internal/api", tests: "TestFloatingLicenseIsNotShared",
	},
	{
		name:   "growth-untold",
		breaks: "an anomaly keeps the figures of its first moments",
		dir:    "services/analytics/internal/ingest",
		in:     "detect",
		edit:   replace("c.grow(b.Events)", ""),
		pkg:    "./services/analytics/internal/api", tests: "TestAnomalyGrows",
	},
}

// answers: a request under an Idempotency-Key has its effect once.
var answers = []mutant{
	{
		name:   "answer-forgotten",
		breaks: "an activation with an Idempotency-Key happens again when it is repeated",
		dir:    "pkg/idempotency",
		in:     "revisit",
		edit:   never("before.Answer != nil"),
		pkg:    licenseAPI, tests: "TestIdempotencyKey",
	},
	{
		name:   "answer-outside-transaction",
		breaks: "the kept answer to an Idempotency-Key does not commit with the change",
		dir:    "pkg/idempotency",
		in:     "Do",
		edit:   replace("s.keep(tx, r, result)", "nil"),
		pkg:    answerTests, tests: "TestALeaseThatRanOutIsTakenOverAndFenced",
	},
	{
		name:   "answer-fence-dropped",
		breaks: "a call that was taken over commits as well",
		dir:    "pkg/idempotency",
		in:     "keep",
		edit:   replace("AND owner = ? AND answer IS NULL", "AND ? <> ''"),
		pkg:    answerTests, tests: "TestALeaseThatRanOutIsTakenOverAndFenced",
	},
	{
		name:   "answer-to-another-request",
		breaks: "another request under the same Idempotency-Key gets the answer to the first",
		dir:    "pkg/idempotency",
		edit:   never("!bytes.Equal(before.Request, r.Request[:])"),
		pkg:    answerTests, tests: "TestAnotherRequestUnderTheKeyIsRefused",
	},
}
