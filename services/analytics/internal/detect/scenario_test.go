package detect

import (
	"fmt"
	"slices"
	"testing"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// monday is the start of every scenario.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// where is a network as a scenario sees it: an address and, when it has one, its entry in a geo database.
type where struct {
	ip, country string
	lat, lon    float64
	asn         uint32
	kind        string
}

var (
	home       = where{ip: "203.0.113.7"}
	officeLine = where{ip: "198.51.100.20"}
	cafe       = where{ip: "192.0.2.33"}
	berlin     = where{"84.128.4.1", "DE", 52.52, 13.40, 3320, "isp"}
	munich     = where{"95.90.8.1", "DE", 48.14, 11.58, 31334, "isp"}
	paris      = where{"90.1.2.3", "FR", 48.86, 2.35, 3215, "isp"}
	madrid     = where{"88.0.9.1", "ES", 40.42, -3.70, 3352, "isp"}
	tokyo      = where{"126.1.1.1", "JP", 35.68, 139.69, 17676, "isp"}
	vpnExit    = where{"185.65.134.9", "SE", 59.33, 18.07, 39351, "vpn"}
)

func buildRunner(i int) where {
	return where{fmt.Sprintf("20.%d.%d.5", 40+i%3, i%200), "US", 38.7, -78.2, 8075, "hosting"}
}

// far is one of many networks without geo data.
func far(i int) where { return where{ip: fmt.Sprintf("%d.%d.7.9", 11+i%80, 20+i%90)} }

// scenario collects the observations of one license.
type scenario struct {
	license License
	obs     []Observation
}

func licensed(seats int) *scenario {
	return &scenario{license: License{ID: "lic-1", MaxDevices: seats, CreatedAt: monday}}
}

// day is a time: days after monday, at an hour of the day.
func day(d int, hour float64) time.Time {
	return monday.AddDate(0, 0, d).Add(time.Duration(hour * float64(time.Hour)).Round(time.Second))
}

func (s *scenario) add(at time.Time, kind, hw string, w where) *Observation {
	s.obs = append(s.obs, Observation{
		EventID: fmt.Sprintf("ev-%06d", len(s.obs)), Type: kind, At: at, LicenseID: s.license.ID, HardwareID: hw,
		By: "client",
		IP: w.ip, Country: w.country, Lat: w.lat, Lon: w.lon, ASN: w.asn, NetKind: w.kind,
	})
	return &s.obs[len(s.obs)-1]
}

func (s *scenario) activate(at time.Time, hw string, w where) {
	s.add(at, eventsv1.TypeLicenseActivated, hw, w)
}
func (s *scenario) deactivate(at time.Time, hw string, w where) {
	s.add(at, eventsv1.TypeDeviceDeactivated, hw, w)
}
func (s *scenario) refuse(at time.Time, hw string, w where) {
	s.add(at, eventsv1.TypeLicenseValidationFailed, hw, w).ErrorCode = codeDeviceLimitExceeded
}

// works lets a device send heartbeats in office hours of days from..to-1.
func (s *scenario) works(from, to int, hw string, w where) {
	for d := from; d < to; d++ {
		for h := 9.0; h < 17; h += 0.5 {
			s.add(day(d, h), eventsv1.TypeLicenseHeartbeat, hw, w)
		}
	}
}

// runs lets a device send heartbeats at an interval.
func (s *scenario) runs(from, to time.Time, every time.Duration, hw string, w where, session string) {
	for t := from; t.Before(to); t = t.Add(every) {
		s.add(t, eventsv1.TypeLicenseHeartbeat, hw, w).SessionID = session
	}
}

// ordered returns the observations in order of time.
func (s *scenario) ordered() []Observation {
	o := slices.Clone(s.obs)
	slices.SortStableFunc(o, func(a, b Observation) int { return a.At.Compare(b.At) })
	return o
}

func play(e Engine, l License, obs []Observation) []Finding {
	var s LicenseState
	var out []Finding
	for _, o := range obs {
		out = append(out, e.License(&s, l, o)...)
	}
	return out
}

// worst maps each kind to its highest severity.
func worst(found []Finding) map[Kind]Severity {
	rank := []Severity{"", SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical}
	out := map[Kind]Severity{}
	for _, f := range found {
		if slices.Index(rank, f.Severity) > slices.Index(rank, out[f.Type]) {
			out[f.Type] = f.Severity
		}
	}
	return out
}

// checkFinding holds a finding against what each must carry.
func checkFinding(t *testing.T, f Finding, obs []Observation) {
	t.Helper()
	if f.Key == "" || f.Subject == "" || f.Reason == "" || f.Observed == "" || f.Suggestion == "" ||
		len(f.Considered) == 0 {
		t.Errorf("finding lacks words: %+v", f)
	}
	if f.Score <= 0 || f.Score >= 1 || f.Severity != severityOf(f.Score) {
		t.Errorf("score %v, severity %q", f.Score, f.Severity)
	}
	if f.FirstSeen.After(f.DetectedAt) || f.DetectedAt.After(f.LastSeen) {
		t.Errorf("times out of order: first %v, detected %v, last %v", f.FirstSeen, f.DetectedAt, f.LastSeen)
	}
	if len(f.Evidence) == 0 || len(f.Evidence) > 5 {
		t.Errorf("%d pieces of evidence", len(f.Evidence))
	}
	for _, ev := range f.Evidence {
		i := slices.IndexFunc(obs, func(o Observation) bool { return o.EventID == ev.EventID })
		if i < 0 || !obs[i].At.Equal(ev.OccurredAt) || ev.What == "" {
			t.Errorf("evidence %+v names no event of the scenario", ev)
		}
	}
}

func dayIndex(at time.Time) int { return int(at.Sub(monday).Hours() / 24) }

// everyStory is each scenario of each detector, by name.
func everyStory() []story {
	return slices.Concat(churnStories(), overuseStories(), sharingStories(), spreadStories(), fleetStories(),
		leaseStories(), honestStories(), dormantStories())
}
