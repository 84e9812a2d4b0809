//go:build unix

package main

const (
	licenseStore = "./services/license/internal/store"
	licenseRules = "./services/license/internal/licensing"
	licenseAPI   = "./services/license"
)

// seats: never more devices than seats, and a counter that equals the rows.
var seats = []mutant{
	{
		name: "seat-counted-without-device", breaks: "a seat is counted for which there is no device",
		file: "services/license/internal/store/seat.go",
		old:  "FROM wanted JOIN device ON id = device_id",
		new:  "FROM wanted JOIN license ON id = license_id",
		pkg:  licenseStore, tests: "TestActivationIsWholeOrNothing TestSeatRace TestABatchOfManyOutcomes",
	},
	{
		name: "seat-device-written-later", breaks: "the counter commits first, the device in a transaction of its own",
		file: "services/license/internal/store/store.go",
		old: `			if err := writeDevice(tx, known, ch.Devices[hardwareID]); err != nil {
				return err
			}`,
		new: `			db.AfterCommit(ctx, func() {
				_ = s.db.Tx(context.Background(), func(_ context.Context, tx *gorm.DB) error {
					return writeDevice(tx, known, ch.Devices[hardwareID])
				})
			})`,
		pkg: licenseStore, tests: "TestOneDeviceActivatedManyTimesAtOnce TestSeatRace",
	},
	{
		name: "seat-guard-dropped", breaks: "the statement of an activation does not ask whether a seat is free",
		file: "services/license/internal/store/seat.go",
		old:  " AND current_devices + place <= max_devices\n", new: "\n",
		pkg: licenseStore, tests: "TestActivationIsWholeOrNothing TestSeatRace",
	},
	{
		name: "seat-free-for-each", breaks: "activations that come together on one license all see the same free seat",
		file: "services/license/internal/store/seat.go",
		old:  "current_devices + place <= max_devices", new: "current_devices < max_devices",
		pkg: licenseStore, tests: "TestABatchOfManyOutcomes TestActivationsThatComeTogether",
	},
	{
		name: "seat-statement-unlocked", breaks: "the statement of an activation counts on a state that others are changing",
		file: "services/license/internal/store/seat.go",
		old:  " FOR NO KEY UPDATE SKIP LOCKED\n", new: "\n",
		pkg: licenseStore, tests: "TestSeatRace TestALicenseThatSomebodyHoldsIsSkipped",
	},
	{
		name: "seat-waits-for-others", breaks: "whoever holds one license holds up the activations on all others",
		file: "services/license/internal/store/seat.go",
		old:  " FOR NO KEY UPDATE SKIP LOCKED\n", new: " FOR NO KEY UPDATE\n",
		pkg: licenseStore, tests: "TestALicenseThatSomebodyHoldsIsSkipped",
	},
	{
		name: "seat-guard-dropped-sqlite", breaks: "a batch on SQLite does not ask whether a seat is free",
		file: "services/license/internal/store/seat_sqlite.go",
		old:  " && l.CurrentDevices+l.asked <= l.MaxDevices", new: "",
		pkg: licenseStore, tests: "TestABatchOfManyOutcomes TestSeatRace",
	},
	{
		name: "seat-free-for-each-sqlite", breaks: "activations that come together on SQLite all see the same free seat",
		file: "services/license/internal/store/seat_sqlite.go",
		old:  "\tl.asked++\n", new: "",
		pkg: licenseStore, tests: "TestABatchOfManyOutcomes",
	},
	{
		name: "seat-event-unsent-sqlite", breaks: "some events of a batch on SQLite are in the log, but no relay ever finds them",
		file: "services/license/internal/store/seat_sqlite.go",
		old:  "last_insert_rowid() - ?", new: "last_insert_rowid() - min(1, ?)",
		pkg: licenseStore, tests: "TestABatchOfManyOutcomes",
	},
	{
		name: "seat-failure-shared", breaks: "an activation that the database cannot store fails those that came with it",
		file: "services/license/internal/store/seat.go",
		old:  "return make([]outcome, len(batch)), nil", new: "return nil, err",
		pkg: licenseStore, tests: "TestWhatOneBringsFailsNobodyElse",
	},
	{
		name: "seat-tried-twice", breaks: "an activation is tried again although the first try may have been committed",
		file: "services/license/internal/store/seat.go",
		old:  "err != nil && !errors.Is(err, apierr.ErrUnavailable)", new: "err != nil && (true || errors.Is(err, apierr.ErrUnavailable))",
		pkg: licenseStore, tests: "TestNobodyTriesAgainAfterAnOutage",
	},
	{
		name: "gather-key-twice", breaks: "two batches compete for one license",
		file: "pkg/gather/gather.go",
		old:  " && !g.busy[c.key]:", new: ":",
		pkg: "./pkg/gather", tests: "TestAKeyIsInOneBatchAtATime TestManyCallers",
	},
	{
		name: "gather-for-nobody", breaks: "a caller who has gone takes a seat all the same",
		file: "pkg/gather/gather.go",
		old:  "case c.ctx.Err() != nil:", new: "case false:",
		pkg: "./pkg/gather", tests: "TestACallerWhoGoesBeforeTheBatchIsLeftOut",
	},
	{
		name: "seat-expiry-dropped", breaks: "the statement of an activation does not ask whether the license has ended",
		file: "services/license/internal/store/seat.go",
		old:  " AND (expires_at IS NULL OR expires_at > at)", new: "",
		pkg: licenseStore, tests: "TestSeatsOfALicenseThatEnded",
	},
	{
		name: "seat-of-inactive-license", breaks: "the statement of an activation does not ask whether the license is active",
		file: "services/license/internal/store/seat.go",
		old:  "WHERE is_active AND", new: "WHERE",
		pkg: licenseStore, tests: "TestSeatsOfALicenseThatEnded",
	},
	{
		name: "seat-rule-dropped", breaks: "the rule of an activation does not ask whether a seat is free",
		file: "services/license/internal/licensing/activate.go",
		old:  "if ch.License.CurrentDevices >= ch.License.MaxDevices {", new: "if false {",
		pkg: licenseRules, tests: "TestActivate",
	},
	{
		name: "seat-lock-dropped", breaks: "two changes of a license read the same state",
		file: "services/license/internal/store/store.go",
		old:  `d.Lock(tx).Table("licenses")`, new: `tx.Table("licenses")`,
		pkg: licenseStore, tests: "TestSeatRace",
	},
	{
		name: "seat-kept-on-leaving", breaks: "a device that leaves does not free its seat",
		file: "services/license/internal/licensing/activate.go",
		old:  "	ch.License.CurrentDevices--\n", new: "",
		pkg: licenseRules, tests: "TestDeactivate",
	},
	{
		name: "offline-seat-freed", breaks: "a device with an offline token frees its seat, and one seat serves many",
		file: "services/license/internal/licensing/activate.go",
		old:  "ok && d.IsActive && d.HoldsOfflineToken(now)", new: "ok && d.IsActive && false",
		pkg: licenseAPI, tests: "TestOfflineToken",
	},
	{
		name: "offline-issued-without-seat", breaks: "a device that leaves while its offline token is signed gets it all the same",
		file: "services/license/internal/licensing/offline.go",
		old:  "if !ok || !d.IsActive {", new: "if !ok {",
		pkg: licenseAPI, tests: "TestOfflineTokenOfADeviceThatLeaves",
	},
	{
		name: "offline-device-unchecked", breaks: "an offline token outlives its device",
		file: "services/license/internal/api/token.go",
		old:  "	seat, err := a.Licensing.CheckOffline(ctx, holder)\n	if err != nil {\n		return nil, err\n	}\n	offline.Features = seat.Granted(offline.Features)\n",
		new:  "	_ = holder\n",
		pkg:  licenseAPI, tests: "TestOfflineToken",
	},
}
