package usage

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// EpisodeGap is the silence after which the job "close silent anomalies" closes an anomaly; the next evidence opens a
// new one.
const EpisodeGap = detect.CloseAfter

// The states of an anomaly. Open ones become closed by silence; people say the others.
const (
	StatusOpen          = "open"
	StatusClosed        = "closed"
	StatusConfirmed     = "confirmed"
	StatusFalsePositive = "false_positive"
)

// anomalyIDs is the namespace of anomaly ids: what is found again has the same id.
var anomalyIDs = uuid.UUID{
	0x5b, 0x0c, 0x8f, 0x0e, 0x8a, 0x37, 0x5d, 0x0e, 0x9a, 0x55, 0x1f, 0x6a, 0x52, 0xf0, 0xc9, 0xd1,
}

// Anomaly is a sign of abuse over a stretch of time: one per subject and type until it falls silent.
type Anomaly struct {
	ID        string `json:"anomaly_id"`
	LicenseID string `json:"license_id"`
	// Subject is as in detect.Finding.
	Subject    string     `json:"subject"`
	Type       string     `json:"type"`
	Severity   string     `json:"severity"`
	Score      float64    `json:"score"`
	Status     string     `json:"status"`
	FirstSeen  time.Time  `json:"first_seen"`
	DetectedAt time.Time  `json:"detected_at"`
	LastSeen   time.Time  `json:"last_seen"`
	ClosedAt   *time.Time `json:"closed_at"`
	Reason     string     `json:"reason"`
	Observed   string     `json:"observed"`
	Expected   Range      `json:"expected"`
	Baseline   Baseline   `json:"baseline"`
	Evidence   []Evidence `json:"evidence"`
	Considered []string   `json:"considered"`
	Suggestion string     `json:"suggestion"`
	Note       string     `json:"note"`
}

// Range is what would have been normal.
type Range struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Baseline is the history that was compared with.
type Baseline struct {
	Days int `json:"days"`
}

// Evidence points at one event behind an anomaly.
type Evidence struct {
	EventID    string    `json:"event_id"`
	OccurredAt time.Time `json:"occurred_at"`
	What       string    `json:"what"`
}

// Recorded is what came of findings: anomalies to be written, and among them those to be announced.
type Recorded struct {
	// Closed fell silent; they must be written before the others, which may take their place.
	Closed  []*Anomaly
	Updated []*Anomaly
	Created []*Anomaly
}

// Record enters findings among the known anomalies of their subjects. A finding that belongs to the stretch of a
// known anomaly continues it, so that finding the same again changes nothing.
func Record(known []Anomaly, findings []detect.Finding, now time.Time) Recorded {
	l := ledger{now: now}
	for i := range known {
		l.entries = append(l.entries, entry{anomaly: &known[i]})
	}
	for i := range findings {
		l.now = clock.Later(l.now, findings[i].LastSeen) // what ends at a finding of a clock that is ahead has ended
	}
	for i := range findings {
		l.enter(&findings[i])
	}
	return l.recorded()
}

type entry struct {
	anomaly          *Anomaly
	touched, created bool
}

type ledger struct {
	entries []entry
	now     time.Time
}

func (l *ledger) enter(f *detect.Finding) {
	i := l.continuing(f)
	if i < 0 && f.LicenseID == "" {
		f = l.gathered(f)
		i = l.continuing(f)
	}
	if i < 0 && f.Status == detect.StatusGrown {
		return // what was known of it is gone
	}
	if i < 0 {
		l.entries = append(l.entries, entry{anomaly: newAnomaly(f), touched: true, created: true})
		return
	}
	if l.entries[i].anomaly.update(f) {
		l.entries[i].touched = true
	}
}

// continuing is the place of the anomaly that a finding continues, or -1: of several the open one, so that no closed
// one opens beside it, else the newest.
func (l *ledger) continuing(f *detect.Finding) int {
	found := -1
	for i, e := range l.entries {
		if e.anomaly.continuedBy(f) && (found < 0 || e.anomaly.follows(l.entries[found].anomaly)) {
			found = i
		}
	}
	return found
}

func (l *ledger) recorded() (r Recorded) {
	for _, e := range l.entries {
		closed := e.anomaly.settle(l.now)
		switch {
		case e.created:
			r.Created = append(r.Created, e.anomaly)
		case closed:
			r.Closed = append(r.Closed, e.anomaly)
		case e.touched:
			r.Updated = append(r.Updated, e.anomaly)
		}
	}
	return r
}

func newAnomaly(f *detect.Finding) *Anomaly {
	a := &Anomaly{
		ID:        uuid.NewSHA1(anomalyIDs, []byte(f.Subject+"|"+f.Key)).String(),
		LicenseID: f.LicenseID, Subject: f.Subject, Type: string(f.Type), Status: StatusOpen, DetectedAt: f.DetectedAt,
		FirstSeen: f.FirstSeen, LastSeen: f.LastSeen,
	}
	a.describe(f)
	return a
}

func (a *Anomaly) continuedBy(f *detect.Finding) bool {
	return a.Subject == f.Subject && a.Type == string(f.Type) &&
		!f.FirstSeen.After(a.LastSeen.Add(EpisodeGap)) && !f.LastSeen.Before(a.FirstSeen.Add(-EpisodeGap))
}

// follows says whether an anomaly is open where another one is not, or newer.
func (a *Anomaly) follows(b *Anomaly) bool {
	if (a.ClosedAt == nil) != (b.ClosedAt == nil) {
		return a.ClosedAt == nil
	}
	return a.LastSeen.After(b.LastSeen)
}

// update takes over what f says and reports whether that changed anything. Older news than known is no news.
func (a *Anomaly) update(f *detect.Finding) bool {
	changed := false
	if f.FirstSeen.Before(a.FirstSeen) {
		a.FirstSeen, changed = f.FirstSeen, true
	}
	if f.LastSeen.After(a.LastSeen) || (f.LastSeen.Equal(a.LastSeen) && f.Score > a.Score) {
		a.LastSeen, changed = f.LastSeen, true
		a.describe(f)
	}
	return changed
}

// describe takes over the words of f, and how grave it is where the anomaly was never graver.
func (a *Anomaly) describe(f *detect.Finding) {
	if f.Score >= a.Score {
		a.Score, a.Severity = f.Score, string(f.Severity)
	}
	a.Reason, a.Observed, a.Suggestion = f.Reason, f.Observed, f.Suggestion
	a.Expected, a.Baseline = Range(f.Expected), Baseline{f.BaselineDays}
	a.Considered = slices.Clone(f.Considered)
	if a.Considered == nil {
		a.Considered = []string{}
	}
	a.Evidence = make([]Evidence, len(f.Evidence))
	for i, e := range f.Evidence {
		a.Evidence[i] = Evidence(e)
	}
}

// settle closes the anomaly if it has fallen silent, opens it if it has not, and reports whether it closed just now.
func (a *Anomaly) settle(now time.Time) bool {
	end := a.LastSeen.Add(EpisodeGap)
	if now.Before(end) {
		a.ClosedAt = nil
		if a.Status == StatusClosed {
			a.Status = StatusOpen
		}
		return false
	}
	was := a.ClosedAt
	a.ClosedAt = &end
	if a.Status == StatusOpen {
		a.Status = StatusClosed
	}
	return was == nil
}

// AnomalyQuery selects anomalies, newest first; empty members select all. Before is the position of the last one of
// the page before.
type AnomalyQuery struct {
	LicenseID, Type, Status, Severity string
	Since                             time.Time
	Before                            Cursor
	Limit                             int
}

// Cursor is the position of an anomaly in the list.
type Cursor struct {
	DetectedAt time.Time
	ID         string
}

// Judgment is what a person says about an anomaly; nil members stay as they are. It changes the risk (ScoreOf in
// risk.go) and silences no detector: what is seen within EpisodeGap continues a false positive, and what is seen later
// is a new anomaly.
type Judgment struct {
	Status, Note *string
}

// judge notes what a person says, and returns its entry of the audit log, nil when it changes nothing: an anomaly that
// has fallen silent is closed at once when it is opened again.
func (a *Anomaly) judge(by *rpcv1.Actor, j Judgment, now time.Time) *eventsv1.AuditRecorded {
	a.settle(now)
	status, note := a.Status, a.Note
	if j.Status != nil {
		a.Status = *j.Status
	}
	if j.Note != nil {
		a.Note = *j.Note
	}
	a.settle(now)
	before, after := map[string]string{"anomaly_id": a.ID}, map[string]string{"anomaly_id": a.ID}
	if a.Status != status {
		before["status"], after["status"] = status, a.Status
	}
	if a.Note != note {
		before["note"], after["note"] = note, a.Note
	}
	if len(after) == 1 {
		return nil
	}
	return &eventsv1.AuditRecorded{
		Actor:      by,
		Action:     "anomaly.judge",
		LicenseId:  a.LicenseID,
		BeforeJson: object(before),
		AfterJson:  object(after),
	}
}

// object is the members as JSON text.
func object(members map[string]string) string {
	text, err := json.Marshal(members)
	if err != nil {
		panic("usage: texts that are no JSON: " + err.Error()) // cannot happen
	}
	return string(text)
}
