package detect

import (
	"fmt"
	"math"
)

// DeviceChurn is seats that pass through more devices than computers come and go.
const DeviceChurn Kind = "device_churn"

var churnDetector = detector{
	kind: DeviceChurn, version: 1, weight: 0.65,
	finds: "seats pass through more devices than computers come and go",
	spares: "re-imaging in one burst, reinstallations; low at most: build jobs, seats freed for idleness on " +
		"which no more than ten devices a day take turns, new computers in one office",
	words: []string{
		churnTook:        "another device took a seat",
		churnLeft:        "a device gave up its seat with an offline token still good",
		churnTransferred: "a seat was transferred to another device",
		churnRebound:     "another hardware id was taken for the device by its components",
	},
	remember: func() memory { return &churn{} },
}

// What churn keeps as evidence.
const (
	churnTook = iota
	churnLeft
	churnTransferred
	churnRebound
)

const (
	// churnPerSeat (s) and churnLeast (s): replacements in 7 days beyond max(churnLeast, churnPerSeat x seats) are
	// churn when spread over churnDays days. Re-imaging a whole lab replaces each seat once.
	churnPerSeat = 1.5
	churnLeast   = 4
	// churnDays are the distinct days on which devices must arrive; one burst is maintenance.
	churnDays = 3
	// burstPerSeat (s) and burstLeast (s) are the same for one day: no maintenance replaces each seat that often.
	// Source of the least: GetKeyManager, 10 devices in an hour.
	burstPerSeat = 4
	burstLeast   = 8
	// aboveBaseline times the replacements of the first week are usual for the license.
	aboveBaseline = 1.5
	// scoreUnlikeJobs is the most for devices that come and go like build jobs, but each from elsewhere: without geo
	// data nobody can tell a seat that is handed round from jobs on many clouds.
	scoreUnlikeJobs = 0.6
)

// churn finds device_churn. Refilled seats count, filling them the first time does not. Left alone: build jobs on
// hosting networks that leave cleanly, one burst of re-imaging, reinstallations (same name and network). Low at most:
// build jobs on networks that no geo data names, seats that are freed because nobody is
// seen on them, unless a crowd comes back to them.
type churn struct {
	trail
	// firstWeek is replacements in the license's own first week: its baseline.
	firstWeek int64
}

func (m *churn) walk(c *codec) { c.int(&m.firstWeek) }

func (m *churn) observe(st *step) {
	if st.leftOffline {
		st.note(churnLeft, week)
	}
	if !st.arrived {
		return
	}
	what := uint64(churnTook)
	switch {
	case st.rebound():
		what = churnRebound
	case st.action == actMove:
		what = churnTransferred
	}
	st.note(what, week)
	m.judge(st)
}

// judge weighs the last 7 days, and the last day by itself.
func (m *churn) judge(st *step) {
	seats := float64(max(st.seats, 1))
	t := st.turnover(st.at-micros(week), st.at)
	fixed := max(churnLeast, churnPerSeat*seats)
	allowed := math.Floor(st.limit(max(fixed, aboveBaseline*float64(m.firstWeek))))
	m.learn(st, t, fixed)
	if t.ci() {
		return
	}
	if over := float64(t.replaced) > allowed && st.reaches(len(t.days), churnDays); over {
		m.raise(st, t, allowed, "7 days")
		return
	}
	day := st.turnover(st.at-microsPerDay, st.at)
	allowed = math.Floor(st.limit(max(burstLeast, burstPerSeat*seats, aboveBaseline*float64(m.firstWeek))))
	if float64(day.replaced) > allowed {
		m.raise(st, day, allowed, "24 hours")
	}
}

// learn keeps the most replacements of the first week as baseline. Abuse from the first day must not become its own
// excuse, so beyond the fixed limit only what looks like build jobs counts.
func (m *churn) learn(st *step, t turnover, fixed float64) {
	if st.at > st.first+micros(week) {
		return
	}
	n := int64(t.replaced)
	if !t.jobs() || t.scattered() {
		n = min(n, int64(fixed))
	}
	m.firstWeek = max(m.firstWeek, n)
}

func (m *churn) raise(st *step, t turnover, allowed float64, window string) {
	score := excess(scoreExcess, float64(t.replaced), allowed)
	explained := ""
	switch {
	case t.freed() && (few(t.returning, t.arrivals) || !st.crowded()):
		score = min(score, scoreLow)
		explained = "seats freed for idleness: the license allows it, and " + count(t.idle, "stay") + " ended so"
	case t.jobs() && t.apart():
		score = min(score+scoreWorse, scoreUnlikeJobs)
		explained = "build jobs: short stays that end cleanly point to them, networks apart from each other do not"
	case t.jobs():
		score = min(score, scoreLow)
		explained = "build jobs: short stays that end cleanly point to them, but the network is not known to be a " +
			"hosting one"
	case len(t.blocks) >= farApart:
		score += scoreWorse
	case t.offline > 0:
		// Who takes an offline token along runs on without the seat: no exchange of computers explains that.
	case few(t.returning, t.arrivals):
		score = min(score, scoreLow)
		explained = "new computers in one office: no device has come back, all from " + count(len(t.blocks), "network")
	}
	st.raise(score, func(f *Finding) {
		m.describe(f, st, t, allowed, window)
		if explained != "" {
			f.Considered = append(f.Considered, explained)
		}
	})
}

func (m *churn) describe(f *Finding, st *step, t turnover, allowed float64, window string) {
	f.Observed = fmt.Sprintf("%s in %s", count(t.replaced, "replaced device"), window)
	f.Reason = fmt.Sprintf("%s in %s on a license with %s: %s took one in turn, from %s; %.0f would be usual at most.",
		count(t.replaced, "replaced device"), window, count(int(st.seats), "seat"), count(len(t.who), "device"),
		count(len(t.blocks), "network"), allowed)
	if t.offline > 0 {
		f.Reason += fmt.Sprintf(" %s left with an offline token still good.", count(t.offline, "device"))
	}
	f.Expected = Expected{Value: float64(m.firstWeek), High: allowed}
	f.Considered = []string{
		fmt.Sprintf("build jobs: %d of %d stays were short and ended cleanly, %d of %d devices on hosting networks",
			t.quick, t.ended, t.hosting, t.arrivals),
		"reinstallation: devices with the same name and network were counted once",
		fmt.Sprintf("re-imaging in one burst: the devices came on %s", count(len(t.days), "day")),
	}
	f.Suggestion = "Look at the devices list. If one customer needs many computers in turn, offer more seats or " +
		"floating use; else limit how often a seat may move."
}
