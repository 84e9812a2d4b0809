package counter

import (
	"time"

	"github.com/google/uuid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Ledger is a license under lock with what was counted on it. Several calls may share one, one after another: a call
// that is refused must leave it as it was.
type Ledger struct {
	// Change is not for changes of the license: its terms are changed elsewhere. Devices, Parts and Operations hold
	// what the selections name and exists.
	licensing.Change
	Counters   map[string]Counter
	Parts      map[Device]Part
	Operations map[string]*Operation
	// Reports are usage reports that were counted before, and those that are counted now; ReportsKept is how many are
	// kept of each device that is named with a report.
	Reports     map[ReportKey]*KeptReport
	ReportsKept map[string]int
	// Entries are to be added to the history.
	Entries []Entry
	// AfterCommit is called when what was changed is stored; nil for nothing.
	AfterCommit func()

	consumed *eventsv1.LicenseConsumed
}

// counter is a counter as it stands at a time, changed by nobody.
func (l *Ledger) counter(t *licensing.CounterTerms, now time.Time) (c Counter, ended bool) {
	c = l.Counters[t.Name]
	c.Name = t.Name
	return c.at(now, newSchedule(&l.License, t))
}

// current is a counter as it stands at a time, for a change: the history gets the end of a period that is over.
func (l *Ledger) current(t *licensing.CounterTerms, now time.Time) Counter {
	c, ended := l.counter(t, now)
	if ended {
		l.note(Entry{Counter: t.Name, Action: EntryPeriodEnded, At: now, UsedBefore: l.Counters[t.Name].Used})
	}
	return c
}

// add adds an amount, for which there is room, and returns what was added: a counter does not fall below 0.
func (l *Ledger) add(t *licensing.CounterTerms, amount int64, hardwareID string, now time.Time) (Applied, State) {
	c := l.current(t, now)
	before := c.Used
	c.Used = max(0, c.Used+amount)
	l.put(c, t, now)
	applied := Applied{Counter: t.Name, Amount: c.Used - before, Period: c.Period}
	state := c.state(t)
	if t.PerDevice && hardwareID != "" {
		used := l.addPart(Device{t.Name, hardwareID}, applied)
		state.DeviceUsed = &used
	}
	return applied, state
}

// addPart adds to the part of a device; what it consumed in an earlier period is over.
func (l *Ledger) addPart(d Device, a Applied) int64 {
	p := l.Parts[d]
	if p.Period != a.Period {
		p = Part{Period: a.Period}
	}
	p.Used = max(0, p.Used+a.Amount)
	l.Parts[d] = p
	return p.Used
}

// put keeps a counter and announces the threshold that it has reached.
func (l *Ledger) put(c Counter, t *licensing.CounterTerms, now time.Time) {
	if threshold := c.crossed(t); threshold > 0 {
		l.Emit(thresholdReached(&l.License, &c, t, threshold, now))
	}
	l.Counters[c.Name] = c
}

func (l *Ledger) note(e Entry) {
	e.ID = uuid.Must(uuid.NewV7()).String()
	l.Entries = append(l.Entries, e)
}

// record gathers what was consumed, by counter and device.
func (l *Ledger) record(a Applied, hardwareID string, used int64) {
	if l.consumed == nil {
		l.consumed = &eventsv1.LicenseConsumed{LicenseId: l.License.ID}
	}
	for _, c := range l.consumed.GetConsumptions() {
		if c.GetCounter() == a.Counter && c.GetHardwareId() == hardwareID {
			c.Amount, c.Calls, c.Used = c.GetAmount()+float64(a.Amount), c.GetCalls()+1, float64(used)
			return
		}
	}
	l.consumed.Consumptions = append(l.consumed.Consumptions, &eventsv1.LicenseConsumed_Consumption{
		Counter: a.Counter, HardwareId: hardwareID, Amount: float64(a.Amount), Calls: 1, Used: float64(used),
	})
}
