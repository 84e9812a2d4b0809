package credential

import (
	"errors"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

const (
	// publishedPerMinute is how many refusals of one family become events within any minute. The others are counted in the next.
	publishedPerMinute = 10
	// familiesWatched bounds the families whose refusals are counted; the refusals of more only count in the metric.
	familiesWatched = 10_000
)

// refused notes a refusal and returns it; failures of ours are none. Only those of tokens that we made become events, so that nobody who
// makes tokens up, or has none, can fill a table: f is the family of the token, without an ID where there is none.
func (s *Service) refused(err error, from Caller, f Family) error {
	var e *apierr.Error
	if !errors.As(err, &e) || e.Kind != apierr.Unauthenticated && !isRefusal(e.Kind) {
		return err
	}
	reason, ok := e.Details["reason"].(string)
	if !ok {
		reason = e.Code
	}
	s.CountRefusal(reason)
	if f.ID == "" {
		return err
	}
	now := s.Clock.Now()
	if count := s.refusals.publish(f.ID, now); count > 0 {
		s.Observe(f.LicenseID, now, &eventsv1.LicenseTokenRefused{
			ErrorCode: e.Code, LicenseId: f.LicenseID, HardwareId: f.HardwareID, Ip: from.IP, Count: int32(count),
		})
	}
	return err
}

// familyOf is the family of an access token that Verify refused, without an ID when the token is not of our making.
func familyOf(err error, raw string) Family {
	var c claims.Access
	if !token.Ours(err) {
		return Family{}
	}
	if _, _, err := jwt.NewParser().ParseUnverified(raw, &c); err != nil { // its signature was seen to be good
		return Family{}
	}
	return Family{ID: c.FamilyID, LicenseID: c.Subject, HardwareID: c.HardwareID}
}

// refusals bounds the events about refused tokens. The zero value is ready for use.
type refusals struct {
	mu       sync.Mutex
	families map[string]*refusalsOfFamily
}

type refusalsOfFamily struct {
	// published are the times of the last events, as a ring.
	published [publishedPerMinute]time.Time
	next      int
	// unpublished refusals wait to be counted in the next event.
	unpublished int
}

// publish says how many refusals of the family the event to be published now stands for, or 0 when none is to be.
func (r *refusals) publish(family string, now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.families[family]
	if f == nil {
		if r.forgetOld(now); len(r.families) >= familiesWatched {
			return 0
		}
		f = &refusalsOfFamily{}
		r.families[family] = f
	}
	if now.Sub(f.published[f.next]) < time.Minute {
		f.unpublished++
		return 0
	}
	count := 1 + f.unpublished
	f.published[f.next], f.unpublished = now, 0
	f.next = (f.next + 1) % publishedPerMinute
	return count
}

// forgetOld makes room, when the families are too many, by forgetting those without an event in the last hour.
func (r *refusals) forgetOld(now time.Time) {
	if r.families == nil {
		r.families = map[string]*refusalsOfFamily{}
	}
	if len(r.families) < familiesWatched {
		return
	}
	for id, f := range r.families {
		if now.Sub(f.published[(f.next+publishedPerMinute-1)%publishedPerMinute]) > time.Hour {
			delete(r.families, id)
		}
	}
}
