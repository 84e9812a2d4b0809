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
		old:  "SELECT ?, id, ?, ?, ?, ?, true, ?, ? FROM license",
		new:  "SELECT ?, id, ?, ?, ?, ?, true, ?, ? FROM license WHERE false",
		pkg:  licenseStore, tests: "TestActivationIsWholeOrNothing TestSeatRace",
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
		old:  " AND current_devices < max_devices\n", new: "\n",
		pkg: licenseStore, tests: "TestActivationIsWholeOrNothing TestSeatRace",
	},
	{
		name: "seat-expiry-dropped", breaks: "the statement of an activation does not ask whether the license has ended",
		file: "services/license/internal/store/seat.go",
		old:  "AND (expires_at IS NULL OR expires_at > ?)", new: "AND ?::timestamptz IS NOT NULL",
		pkg: licenseStore, tests: "TestSeatsOfALicenseThatEnded",
	},
	{
		name: "seat-of-inactive-license", breaks: "the statement of an activation does not ask whether the license is active",
		file: "services/license/internal/store/seat.go",
		old:  "WHERE id = ? AND is_active AND", new: "WHERE id = ? AND",
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
		old:  "if err := a.Licensing.CheckOffline(c.Request.Context(), offline.Subject, offline.HardwareID); err != nil {",
		new:  "if err := error(nil); err != nil {",
		pkg:  licenseAPI, tests: "TestOfflineToken",
	},
}
