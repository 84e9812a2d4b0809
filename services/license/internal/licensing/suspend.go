package licensing

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// NewSuspension is what an administrator says of a suspension.
type NewSuspension struct {
	Reason string
	// Until is when it ends by itself; nil for never.
	Until *End
}

// Suspend takes the use of a license away until it is reinstated; seats, tokens and history stay. On a suspended
// license it changes reason and end. Every replica refuses once it hears of license.suspended (Watches in jobs.go), in
// milliseconds, or after cache.UnlinkedFor where nothing is heard; a machine without a network, once it gets the next
// revocation list. What is refused first is the order of verdict.go (row not_suspended). Errors: VALIDATION_ERROR,
// ErrNotFound, ErrVersionMismatch.
func (s *Licenses) Suspend(ctx context.Context, by *Actor, licenseID string, n NewSuspension) (License, error) {
	now := s.Clock.Now()
	if err := n.check(now); err != nil {
		return License{}, err
	}
	return s.alter(ctx, by, licenseID, n.alteration(now))
}

func (n NewSuspension) alteration(now time.Time) alteration {
	return alteration{
		make:   func(l *License) error { return l.suspend(&n, now) },
		action: func(*License, *License) string { return "license.suspend" },
		event:  func(_, l *License, _ []string) proto.Message { return suspended(l, now) },
	}
}

// check tells what is wrong with a suspension whatever the license. The end of a day is judged with its time zone.
func (n *NewSuspension) check(now time.Time) error {
	problems := map[string]string{}
	checkText(problems, "reason", n.Reason, true)
	if n.Until != nil && !n.Until.Day && !n.Until.At.After(now) {
		problems["until"] = untilPast
	}
	if n.Until != nil {
		yearProblem(problems, "until", n.Until.At, "leave it out for a suspension without end")
	}
	if len(problems) > 0 {
		return apierr.InvalidFields(problems)
	}
	return nil
}

const untilPast = "must lie ahead"

func (l *License) suspend(n *NewSuspension, now time.Time) error {
	made := Suspension{At: now, Reason: strings.TrimSpace(n.Reason)}
	if n.Until != nil {
		if made.Until = n.Until.In(l.Location()); !made.Until.After(now) {
			return apierr.InvalidField("until", untilPast)
		}
	}
	if l.Suspension.holds(now) {
		made.At = l.Suspension.At
	}
	l.Suspension = &made
	return nil
}

// Reinstate ends a suspension; a license that is not suspended stays as it is. Errors: ErrNotFound, ErrVersionMismatch.
func (s *Licenses) Reinstate(ctx context.Context, by *Actor, licenseID string) (License, error) {
	return s.alter(ctx, by, licenseID, reinstatement(s.Clock.Now()))
}

func reinstatement(now time.Time) alteration {
	return alteration{
		make: func(l *License) error {
			l.Suspension = nil
			return nil
		},
		action: func(*License, *License) string { return "license.reinstate" },
		event:  func(_, l *License, _ []string) proto.Message { return reinstated(l, reinstatedByAdmin, now) },
	}
}
