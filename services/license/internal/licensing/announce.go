package licensing

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Some statuses come with time alone, and no call makes them: a start, grace, an end, the end of a suspension. Each is
// announced once, by the schedule (AnnounceDue) or by the first call that meets it (Seats.announce), whichever is
// first. That an end comes near, license.expiring, is announced by AnnounceExpiring in expiring.go.

// dueBatch is how many licenses the schedule asks for at once.
const dueBatch = 500

// AnnounceDue tells of every status that has come since the last time, however many replicas look. It returns of how
// many licenses it told. Errors: those of the licenses that could not be changed, joined.
func (s *Licenses) AnnounceDue(ctx context.Context) (int, error) {
	told := 0
	for {
		ids, err := s.Store.Due(ctx, s.Clock.Now(), dueBatch)
		if err != nil {
			return told, err
		}
		progress, away, failed := s.announceEach(ctx, ids, (*Change).Announce)
		if told += progress; away || len(ids) < dueBatch || progress == 0 {
			return told, failed
		}
	}
}

// announceEach lets announce decide about each of some licenses, under lock, and counts those that it told of. One that
// cannot be changed keeps it from no other, one that is locked for long included, but two of these in a row are an
// outage, of which away tells: it ends it.
func (s *Licenses) announceEach(
	ctx context.Context, ids []string, announce func(*Change, time.Time) bool,
) (told int, away bool, failed error) {
	missed := false
	for _, id := range ids {
		announced, before := false, missed
		err := s.Store.Change(ctx, id, nil, func(ch *Change) error {
			announced = announce(ch, s.Clock.Now())
			return nil
		})
		failed, missed = errors.Join(failed, err), err != nil && apierr.From(err).Kind == apierr.Unavailable
		switch {
		case missed && before:
			return told, true, failed
		case err == nil && announced:
			told++
		}
	}
	return told, false, failed
}

// announceTime bounds what a call spends on an announcement that is not its own business.
const announceTime = 500 * time.Millisecond

// announce tells of a status that a call has met. That it fails is no reason to fail the call: the schedule comes.
func (s *Seats) announce(ctx context.Context, l *License, now time.Time) {
	if !l.mayHaveNews(now) || !l.hasNews(now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, announceTime)
	defer cancel()
	_ = s.Store.Change(ctx, l.ID, nil, func(ch *Change) error {
		ch.Announce(now)
		return nil
	})
}

// mayHaveNews is false for all but few licenses, at next to no cost.
func (l *License) mayHaveNews(now time.Time) bool {
	return l.Announced == StatusNotStarted || l.Suspension != nil || !l.ExpiresAt.IsZero() && !now.Before(l.ExpiresAt)
}

func (l *License) hasNews(now time.Time) bool {
	return l.IsActive && (l.suspensionOver(now) || l.nextStatus(now) != "")
}

func (l *License) suspensionOver(now time.Time) bool {
	return l.Suspension != nil && !l.Suspension.holds(now)
}

// nextStatus is the status to tell of next, empty for none.
func (l *License) nextStatus(now time.Time) Status {
	switch status := l.Status(now); {
	case status == l.Announced:
		return ""
	case l.Announced == StatusNotStarted &&
		(status == StatusActive || status == StatusInGrace || status == StatusExpired):
		return StatusActive
	case status == StatusInGrace, status == StatusExpired:
		return status
	}
	return ""
}

// Announce tells of every status that has come, and whether there was any. Under the lock it decides again: somebody
// else may have been faster. Nobody has changed the license, so it keeps its version, unless its suspension is over.
func (ch *Change) Announce(now time.Time) bool {
	l := &ch.License
	if !l.hasNews(now) {
		return false
	}
	if l.suspensionOver(now) {
		l.touch(now)
		l.Suspension = nil
		ch.Emit(reinstated(l, reinstatedByTime, now))
	}
	for status := l.nextStatus(now); status != ""; status = l.nextStatus(now) {
		l.Announced = status
		ch.Emit(statusEvent(l, status, now))
	}
	return true
}

func statusEvent(l *License, status Status, now time.Time) proto.Message {
	switch status {
	case StatusInGrace:
		return inGrace(l, now)
	case StatusExpired:
		return expired(l, now)
	}
	if l.StartsAt.IsZero() { // it was taken away before it came
		return started(l, now, now)
	}
	return started(l, l.StartsAt, now)
}
