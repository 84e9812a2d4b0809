package detect

import "time"

// Settings holds every threshold of the engine. A threshold says where honest use ends; Engine.WithSensitivity scales those marked (s).
// Thresholds without a named source are reasoned from the look-alikes that the tests of their detector play through.
type Settings struct {
	// CloseAfter is the silence, in event time, after which an open finding is over. Source: detection design, 24 h.
	CloseAfter time.Duration
	// FoldWithin is the time within which a success wipes out the same device's refusal: a retry is no alarm. Source: Flexera's denial analysis, 60 s.
	FoldWithin time.Duration

	Enumeration EnumerationSettings
	Churn       ChurnSettings
	Overuse     OveruseSettings
	Sharing     SharingSettings
	Dormancy    DormancySettings
}

// EnumerationSettings tunes key_enumeration.
type EnumerationSettings struct {
	// KeysPerHour (s) and KeysPerDay (s) are the distinct unknown keys that an address may ask for. People who copy a key wrongly produce 1 to 5.
	KeysPerHour, KeysPerDay int
	// PerUser is added to both for each device that succeeded from the address within the day: behind one address may sit a campus.
	PerUser float64
	// MaxUsersBonus caps that addition, so that one valid license per guess buys nothing.
	MaxUsersBonus int
	// SlipWithin and SlipKeys: a device that succeeds this soon after at most so many distinct wrong keys had mistyped. So many are forgiven a
	// device in 24 hours, and SlipsPerDay to all devices of an address: a campus with two hundred slips has a bad day.
	SlipWithin  time.Duration
	SlipKeys    int
	SlipsPerDay int
	// ProxyTimes raises both limits for an address that may be a proxy's: as many clients as an office has may each mistype.
	ProxyTimes float64
}

// ChurnSettings tunes device_churn.
type ChurnSettings struct {
	// PerSeat (s) and Least (s): replacements in 7 days beyond max(Least, PerSeat x seats) are churn when spread over SpreadDays days.
	// Re-imaging a whole lab replaces each seat once.
	PerSeat float64
	Least   int
	// SpreadDays are the distinct days on which devices must arrive; one burst is maintenance.
	SpreadDays int
	// BurstPerSeat (s) and BurstLeast (s) are the same for one day: no maintenance replaces each seat that often. Source of the least: GetKeyManager, 10 devices in an hour.
	BurstPerSeat float64
	BurstLeast   int
	// JobLifetime is how long a build job keeps its seat at most; shorter stays that end cleanly and never return look like CI.
	JobLifetime time.Duration
}

// OveruseSettings tunes seat_overuse.
type OveruseSettings struct {
	// PerSeat (s) and Least (s): distinct devices refused for lack of seats in 7 days beyond max(Least, PerSeat x seats) are ramming.
	PerSeat float64
	Least   int
	// Days are the distinct days of 7 on which refusals must fall: a growing team buys seats sooner. BurstFactor times as many devices as allowed are told
	// at once, as low when they come from fewer than 3 networks: a class may have met with too few seats.
	Days        int
	BurstFactor float64
	// RetriesPerDay (s) by 2 or more devices on RetryDays days is hammering, of low severity: it may be a client without backoff.
	RetriesPerDay int
	RetryDays     int
}

// SharingSettings tunes account_sharing.
type SharingSettings struct {
	// LiveFor is the longest pause between two signs of life that still counts as running all the time; heartbeats come more often than hourly.
	LiveFor time.Duration
	// OverSeats (s) is the number of quarter hours within a day with more devices running than seats.
	OverSeats int
	// SeatsMemory is how long devices above a limit that was lowered are taken as admitted under the old one.
	SeatsMemory time.Duration
	// Overlaps (s) is the number of proofs within a day that one device runs on two networks at once.
	Overlaps int
	// Flapping is the number of A-B-A alternations in one hour beyond which each further one counts as a proof, though a weak one: a client on two uplinks
	// that sends a heartbeat every 5 minutes cannot alternate more than 12 times.
	Flapping int
	// ReturnWithin bounds an A-B-A alternation; nobody commutes there and back in it.
	ReturnWithin time.Duration
	// FarKm is the distance beyond which an alternation within ReturnWithin is no journey.
	FarKm float64
	// HandRounds (s), HandNetworks and HandDays: a seat that passes between more devices than seats, each returning, on at least so many networks
	// so many times a day, on so many days of 7, is handed round.
	HandRounds, HandNetworks, HandDays int
}

// DormancySettings tunes dormant_reactivated.
type DormancySettings struct {
	// Silence is the least gap that counts as dormant. Longer than a semester break of 8 weeks.
	Silence time.Duration
	// GapFactor: the gap must also exceed the license's own longest earlier gap so many times (yearly use is not dormancy).
	GapFactor float64
	// Watch is how long after waking a known device or network may still show up and explain it.
	Watch time.Duration
	// SoleDays (s) are the distinct days that one single new device must be active on before it is worth a note: it may be a new computer.
	SoleDays int
}

// DefaultSettings returns the thresholds the service uses.
func DefaultSettings() Settings {
	return Settings{
		CloseAfter: 24 * time.Hour,
		FoldWithin: 60 * time.Second,
		Enumeration: EnumerationSettings{KeysPerHour: 10, KeysPerDay: 30, PerUser: 0.1, MaxUsersBonus: 10,
			SlipWithin: 10 * time.Minute, SlipKeys: 5, SlipsPerDay: 200, ProxyTimes: 8},
		Churn:   ChurnSettings{PerSeat: 1.5, Least: 4, SpreadDays: 3, BurstPerSeat: 4, BurstLeast: 8, JobLifetime: 6 * time.Hour},
		Overuse: OveruseSettings{PerSeat: 0.5, Least: 3, Days: 3, BurstFactor: 3, RetriesPerDay: 20, RetryDays: 3},
		Sharing: SharingSettings{LiveFor: time.Hour, OverSeats: 4, SeatsMemory: 30 * 24 * time.Hour, Overlaps: 4, Flapping: 20, ReturnWithin: time.Hour,
			FarKm: 300, HandRounds: 3, HandNetworks: 3, HandDays: 2},
		Dormancy: DormancySettings{Silence: 60 * 24 * time.Hour, GapFactor: 1.5, Watch: 14 * 24 * time.Hour, SoleDays: 3},
	}
}
