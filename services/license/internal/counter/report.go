package counter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

const (
	// reportLife is how long after its end a report may still come, and so how long it is remembered.
	reportLife = 400 * 24 * time.Hour
	// fastClock is how far the clock of a machine without a network may be ahead.
	fastClock = 24 * time.Hour
	// maxReports is how many reports of one device are remembered.
	maxReports = 1000
)

// Report is what a device without a network says it has consumed.
type Report struct {
	ID, LicenseID, HardwareID string
	// BoundProduct is the product that the caller's API key is bound to, empty for none.
	BoundProduct string
	// Consumed are amounts, none of them negative, by the names of counters.
	Consumed map[string]int64
	From, To time.Time
	// Signed is the report as it came.
	Signed *file.SignedReport
}

// Reported is the answer to a report.
type Reported struct {
	ReportID   string    `json:"report_id"`
	LicenseID  string    `json:"license_id"`
	DeviceID   string    `json:"device_id"`
	HardwareID string    `json:"hardware_id"`
	ReceivedAt time.Time `json:"received_at"`
	// States are what the counters show afterwards.
	States []State `json:"states"`
}

// ReportKey names a report.
type ReportKey struct{ DeviceID, ReportID string }

// KeptReport is a report that was counted.
type KeptReport struct {
	// Digest is that of what was signed.
	Digest string
	Answer Reported
	// KeptUntil is when the report would be too old to be counted again.
	KeptUntil time.Time
}

// Report counts what a device consumed without the network, once, whatever the limits and the state of the license: it
// has happened. Errors: VALIDATION_ERROR, licensing.ErrNotFound, errReportSignature, errReportReused, errUnknown,
// errTooManyReports.
func (s *Counters) Report(ctx context.Context, r Report) (Reported, error) {
	now := s.Clock.Now()
	if err := r.check(now); err != nil {
		return Reported{}, err
	}
	l, _, err := s.Store.Read(ctx, r.LicenseID)
	if err != nil {
		return Reported{}, err
	}
	if r.BoundProduct != "" && r.BoundProduct != l.Product {
		return Reported{}, licensing.ErrNotFound
	}
	d, err := s.reporter(ctx, l.ID, r.HardwareID)
	if err != nil {
		return Reported{}, err
	}
	// Checked before the license is locked, so that nobody else's reports keep it.
	if d == nil || !r.Signed.SignedBy(d.PublicKey) {
		return Reported{}, errReportSignature
	}
	var done Reported
	selected := Selection{LicenseID: l.ID, HardwareID: d.HardwareID, ReportID: r.ID}
	err = s.change(ctx, selected, func(l *Ledger) (err error) {
		done, err = l.report(d, &r, now)
		return err
	})
	if err != nil {
		return Reported{}, err // done may be written still, by a transaction that outlives the call
	}
	return done, nil
}

// reporter is the device that has a hardware id, or had it; nil for none.
func (s *Counters) reporter(ctx context.Context, licenseID, hardwareID string) (*licensing.Device, error) {
	d, err := s.Store.FindDevice(ctx, licenseID, hardwareID)
	if err != nil || d != nil {
		return d, err
	}
	current, err := s.Seats.Lookup.Alias(ctx, licenseID, hardwareID)
	if err != nil || current == "" {
		return nil, err
	}
	return s.Store.FindDevice(ctx, licenseID, current)
}

func (r *Report) check(now time.Time) error {
	switch {
	case r.To.Before(r.From):
		return apierr.InvalidField("usage_report.to", "must not be before from")
	case r.To.After(now.Add(fastClock)):
		return apierr.InvalidField("usage_report.to", "must not be ahead; set the clock of the machine")
	case !r.keptUntil().After(now):
		return apierr.InvalidField("usage_report.to",
			fmt.Sprintf("must not be more than %d days ago", int(reportLife.Hours()/24)))
	}
	return nil
}

func (r *Report) keptUntil() time.Time { return r.To.Add(reportLife) }

// report is the rule of reports, under the lock of the license.
func (l *Ledger) report(d *licensing.Device, r *Report, now time.Time) (Reported, error) {
	sum := sha256.Sum256(r.Signed.Payload)
	key, digest := ReportKey{d.ID, r.ID}, hex.EncodeToString(sum[:])
	if kept := l.Reports[key]; kept != nil {
		if kept.Digest != digest {
			return Reported{}, errReportReused
		}
		return kept.Answer, nil
	}
	names := slices.Sorted(maps.Keys(r.Consumed))
	for _, name := range names {
		if l.License.Counter(name) == nil {
			return Reported{}, errUnknown.With("counter", name)
		}
	}
	if l.ReportsKept[d.ID] >= maxReports {
		return Reported{}, errTooManyReports
	}
	done := Reported{ReportID: r.ID, LicenseID: l.License.ID, DeviceID: d.ID, HardwareID: d.HardwareID, ReceivedAt: now}
	for _, name := range names {
		t := l.License.Counter(name)
		c, _ := l.counter(t, now)
		a, state := l.add(t, min(r.Consumed[name], licensing.MaxCount-c.Used), d.HardwareID, now)
		l.record(a, d.HardwareID, state.Used)
		done.States = append(done.States, state)
	}
	l.ReportsKept[d.ID]++
	l.Reports[key] = &KeptReport{Digest: digest, Answer: done, KeptUntil: r.keptUntil()}
	return done, nil
}
