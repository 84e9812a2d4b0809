package licensing

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Convert makes a full license of a trial, with new terms where c names some; a duration among them begins to run. Key,
// devices and history stay. Errors: VALIDATION_ERROR, ErrNotFound, ErrVersionMismatch, ErrNotTrial.
func (s *Licenses) Convert(
	ctx context.Context, by *Actor, licenseID string, ifVersion *int, c TermsChange,
) (License, error) {
	if err := c.checkConversion(); err != nil {
		return License{}, err
	}
	return s.alter(ctx, by, licenseID, conversion(ifVersion, c, s.Clock.Now()))
}

// checkConversion tells what is wrong with the terms of a conversion whatever the license.
func (c *TermsChange) checkConversion() error {
	problems := map[string]string{}
	c.problems(problems)
	if c.IsTrial != nil && *c.IsTrial {
		problems["is_trial"] = "must not be true: a license that is converted is not a trial any more; leave it out"
	}
	if len(problems) > 0 {
		return apierr.InvalidFields(problems)
	}
	return nil
}

func conversion(ifVersion *int, c TermsChange, now time.Time) alteration {
	return alteration{
		ifVersion: ifVersion,
		make:      func(l *License) error { return l.convert(&c, now) },
		action:    func(*License, *License) string { return "license.convert" },
		event:     func(_, l *License, _ []string) proto.Message { return converted(l, now) },
	}
}

func (l *License) convert(c *TermsChange, now time.Time) error {
	if !l.IsTrial {
		return ErrNotTrial
	}
	if c.givesDuration() {
		l.setExpiry(time.Time{}, now)
	}
	l.applyTerms(c, now)
	l.IsTrial = false
	return nil
}
