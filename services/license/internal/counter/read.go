package counter

import (
	"context"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// maxParts is how many devices of a counter are shown.
const maxParts = 100

// Reading is a counter with its terms.
type Reading struct {
	Terms licensing.CounterTerms
	State State
	// Devices consumed most of this period, where parts are counted.
	Devices []DevicePart
}

// List reads the counters of a license, in the order of its terms. Errors: licensing.ErrNotFound.
func (s *Counters) List(ctx context.Context, licenseID string) (licensing.License, []Reading, error) {
	l, stored, err := s.Store.Read(ctx, licenseID)
	if err != nil {
		return l, nil, err
	}
	all := []Reading{} // never null
	for i := range l.Counters {
		r, err := s.reading(ctx, &l, &l.Counters[i], stored)
		if err != nil {
			return l, nil, err
		}
		all = append(all, r)
	}
	return l, all, nil
}

func (s *Counters) reading(
	ctx context.Context, l *licensing.License, t *licensing.CounterTerms, stored map[string]Counter,
) (r Reading, err error) {
	c, ended := stored[t.Name].at(s.Clock.Now(), newSchedule(l, t))
	r = Reading{Terms: *t, State: c.state(t)}
	if t.PerDevice {
		r.Devices = []DevicePart{} // never null
	}
	if t.PerDevice && !ended {
		c.Name = t.Name
		r.Devices, err = s.Store.Parts(ctx, l.ID, c, maxParts)
	}
	return r, err
}

// Find reads one counter of a license. Errors: licensing.ErrNotFound, licensing.ErrCounterNotFound.
func (s *Counters) Find(ctx context.Context, licenseID, name string) (licensing.License, Reading, error) {
	l, stored, err := s.Store.Read(ctx, licenseID)
	if err != nil {
		return l, Reading{}, err
	}
	t := l.Counter(name)
	if t == nil {
		return l, Reading{}, licensing.ErrCounterNotFound
	}
	r, err := s.reading(ctx, &l, t, stored)
	return l, r, err
}

// History reads a part of the history of a counter, newest first, also of one that the license no longer has. Errors:
// those of Find.
func (s *Counters) History(
	ctx context.Context, licenseID, name string, span licensing.Span,
) (licensing.Page[Entry], error) {
	l, _, err := s.Store.Read(ctx, licenseID)
	if err != nil {
		return licensing.Page[Entry]{}, err
	}
	page, err := s.Store.History(ctx, licenseID, name, span)
	if err == nil && page.Total == 0 && l.Counter(name) == nil {
		err = licensing.ErrCounterNotFound
	}
	return page, err
}
