package licensing

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Conversion is what a trial becomes.
type Conversion struct {
	// Policy is the code of the policy that was bought, whose terms and duration begin with the conversion. Without one
	// the license keeps its terms, and its end, where TermsChange says nothing else.
	Policy string
	TermsChange
}

// Convert makes a full license of a trial; a duration among the terms that c names begins to run. Key, devices and
// history stay. Errors: VALIDATION_ERROR, ErrNotFound, ErrVersionMismatch, ErrNotTrial.
func (s *Licenses) Convert(ctx context.Context, by *Actor, licenseID string, c Conversion) (License, error) {
	policy, err := s.boughtPolicy(ctx, &c)
	if err != nil {
		return License{}, err
	}
	return s.alter(ctx, by, licenseID, conversion(&c, policy, s.Clock.Now()))
}

// boughtPolicy is the policy that a conversion names, nil for none, and what is wrong with the conversion whatever the
// license.
func (s *Licenses) boughtPolicy(ctx context.Context, c *Conversion) (*Policy, error) {
	c.ShortLeases = s.ShortLeases
	problems := map[string]string{}
	c.problems(problems)
	if c.IsTrial != nil && *c.IsTrial {
		problems["is_trial"] = "must not be true: a license that is converted is not a trial any more; leave it out"
	}
	if len(problems) > 0 {
		return nil, apierr.InvalidFields(problems)
	}
	reader := policyReader{reads: s.Reads}
	policy, err := reader.named(ctx, c.Policy)
	if err == nil && policy != nil && policy.IsTrial {
		err = apierr.InvalidField("policy", "makes trials; name the policy that was bought")
	}
	return policy, err
}

func conversion(c *Conversion, policy *Policy, now time.Time) alteration {
	return alteration{
		make:   func(l *License) error { return l.convert(c, policy, now) },
		action: func(*License, *License) string { return "license.convert" },
		event:  func(_, l *License, _ []string) proto.Message { return converted(l, now) },
	}
}

func (l *License) convert(c *Conversion, policy *Policy, now time.Time) error {
	if !l.IsTrial {
		return ErrNotTrial
	}
	if c.givesDuration() || policy != nil {
		// The end of the trial goes; applyTerms, by begin, has the duration set another.
		l.setExpiry(time.Time{}, now)
	}
	if policy != nil {
		if problem := l.takePolicy(policy, l.Product, now); problem != "" {
			return apierr.InvalidField("policy", problem)
		}
	}
	l.applyTerms(&c.TermsChange, now)
	l.IsTrial = false
	return nil
}
