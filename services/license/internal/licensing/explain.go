package licensing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Question is a call that is to be explained, not made.
type Question struct {
	// LicenseID or Key names the license.
	LicenseID string
	Key       *string
	Operation Operation
	// Client is what the call says of the application and its device.
	Client Client
	// User is the e-mail of who would have signed in, empty for nobody.
	User string
	// Facts adds what other packages know of the request, such as counters and leases; nil for nothing. A refusal of
	// the call that is no verdict is its error.
	Facts func(ctx context.Context, r *Request) error
	// At is the instant of the call; zero for now.
	At time.Time
}

// Explanation is the verdict on a call with all that led to it.
type Explanation struct {
	// Refusal is nil where the call would be allowed.
	Refusal *apierr.Error
	// Checks are those that the call asks, in their order. Those after the first that fails decide nothing any more.
	Checks []Answer
	// License is nil where none has the key or id, Device where it was never seen on the license.
	License *License
	Device  *Device
	At      time.Time
}

// Answer is what one check says.
type Answer struct {
	Check string
	// Passed is nil where there is no license to ask about.
	Passed          *bool
	Observed, Limit any
	// Reason is the message that the refused call answers, Remedy the part of it that says what to do; both are empty
	// where the check passed.
	Reason, Remedy string
}

// Explainer tells what calls would be answered. It goes their way on copies, of which nothing is written.
type Explainer struct {
	Seats   *Seats
	Catalog Catalog
}

// Explain tells what a call would be answered and why. Errors: those of the call that are no verdicts.
func (s *Explainer) Explain(ctx context.Context, q Question) (Explanation, error) {
	if q.At.IsZero() {
		q.At = s.Seats.Clock.Now()
	}
	e := Explanation{At: q.At}
	ch, err := s.asked(ctx, &q)
	if err == nil {
		e.named(&ch.License, &q)
		if !q.Client.isFor(&ch.License) {
			err = ErrNotFound
		}
	}
	if errors.Is(err, ErrNotFound) {
		if q.Operation == OperationFile {
			q.Operation |= OperationActivate // nobody is known to have a seat
		}
		e.judge(Request{Operation: q.Operation, Now: q.At})
		return e, nil
	}
	if err != nil {
		return Explanation{}, err
	}
	stored := ch.License
	e.License = &stored
	r, err := s.request(ctx, ch, &q)
	if err != nil {
		return Explanation{}, err
	}
	if r.Device != nil { // as it is stored: it may have been recognized under another id
		d, err := s.Catalog.Device(ctx, stored.ID, r.Device.ID)
		if err != nil {
			return Explanation{}, err
		}
		e.Device, r.HardwareID = &d, d.HardwareID
	}
	err = e.complete(ctx, r, q.Facts)
	return e, err
}

// asked is the license of a question with the device that it names; it puts down who came by an enrollment key, or has
// signed in.
func (s *Explainer) asked(ctx context.Context, q *Question) (ch *Change, err error) {
	if q.Key != nil {
		q.LicenseID, q.Client.Enrollment, err = s.Catalog.ByKey(ctx, *q.Key, q.At)
	}
	if err == nil {
		ch, err = s.Catalog.Peek(ctx, q.LicenseID, []string{q.Client.HardwareID})
	}
	if err != nil || q.User == "" {
		return ch, err
	}
	u, err := s.Catalog.UserOf(ctx, &ch.License, q.User)
	if u != nil {
		q.Client.User = &SignedIn{User: u, LicenseID: ch.License.ID}
	}
	return ch, err
}

// request is what the call would put before the checks.
func (s *Explainer) request(ctx context.Context, ch *Change, q *Question) (Request, error) {
	c, err := s.Seats.caller(ctx, &q.Client)
	if err == nil && ch.License.needsRelease(c.AppVersion) {
		c.released, err = s.Catalog.ReleasedAt(ctx, ch.License.Product, c.AppVersion)
	}
	if err != nil {
		return Request{}, err
	}
	d, err := ch.device(c.Client, q.At)
	if err != nil {
		return Request{}, err
	}
	if q.Operation == OperationFile && (d == nil || !d.IsActive) {
		q.Operation |= OperationActivate // a file takes a seat
	}
	if q.Operation&OperationActivate != 0 {
		return ch.wants(q.Operation, d, c, q.At)
	}
	if q.Operation == OperationUse && ch.License.LeaseIsSeat() {
		lease, err := s.Seats.Lookup.LeasedDevice(ctx, ch.License.ID, q.Client.HardwareID)
		if err != nil {
			return Request{}, err
		}
		c.leased = lease != nil
	}
	return c.Asks(q.Operation, &ch.License, d, q.At), nil
}

// named judges the user whom a call names, which happens before anything else: somebody must have signed in, and a
// license that is named by its id must be one of that user.
func (e *Explanation) named(l *License, q *Question) {
	if q.User == "" || q.Client.Trusted {
		return
	}
	var err error
	switch u := q.Client.User; {
	case u == nil:
		err = ErrCredentials
	case q.Key == nil:
		_, err = u.license()
	}
	for i := range checks {
		if c := &checks[i]; errors.Is(err, c.refusal) {
			e.add(c.refused(Request{License: l, User: q.Client.signedIn()}), c.refusal)
		}
	}
}

// complete judges a request once its facts are known. Facts that nobody gets, because the verdict comes before them,
// are no error.
func (e *Explanation) complete(ctx context.Context, r Request, facts func(context.Context, *Request) error) error {
	var err error
	if facts != nil {
		err = facts(ctx, &r)
	}
	e.judge(r)
	var bad *apierr.Error
	if errors.As(err, &bad) && bad.Kind == apierr.Invalid && e.Refusal != nil {
		return nil
	}
	return err
}

// judge asks every check of the operation, save what has been asked.
func (e *Explanation) judge(r Request) {
	asked := e.Checks
	for i := range checks {
		c := &checks[i]
		if c.asks(r.Operation) && !slices.ContainsFunc(asked, func(a Answer) bool { return a.Check == c.name }) {
			e.add(c.answer(r), c.refusal)
		}
	}
}

func (e *Explanation) add(a Answer, refusal *apierr.Error) {
	e.Checks = append(e.Checks, a)
	if e.Refusal == nil && a.Passed != nil && !*a.Passed {
		e.Refusal = refusal
	}
}

// answer asks the check. Without a license only the first one can be asked.
func (c *check) answer(r Request) Answer {
	a := Answer{Check: c.name}
	if r.License == nil && c != &checks[0] {
		return a
	}
	if !c.passes(r) {
		return c.refused(r)
	}
	a.Passed = new(true)
	a.Observed, a.Limit = c.facts(r)
	return a
}

// refused is the answer of a check that r does not pass.
func (c *check) refused(r Request) Answer {
	a := Answer{Check: c.name, Passed: new(false), Reason: c.refusal.Message}
	_, a.Remedy, _ = strings.Cut(a.Reason, "; ")
	if r.License != nil {
		a.Observed, a.Limit = c.facts(r)
	}
	return a
}
