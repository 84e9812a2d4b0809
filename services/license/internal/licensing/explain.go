package licensing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// Question is a call that is to be explained, not made.
type Question struct {
	// LicenseID or Key names the license; where neither does, it is the one of the user whom Client has.
	LicenseID string
	Key       *string
	Operation Operation
	// Client is what the call says of the application and its device, and the user whom its token proves.
	Client Client
	// User is the e-mail of who would have signed in, empty for nobody.
	User string
	// Facts adds what other packages know of the request, such as counters and leases, and answers what the call asks
	// beside the verdict, nil for nothing; it may be nil. What it calls wrong is no question.
	Facts func(ctx context.Context, r *Request) (*Condition, error)
	// At is the instant of the call; zero for now.
	At time.Time
	// unasked are the checks that could refuse if only it were known from where the call comes.
	unasked []string
}

// Condition is what a call asks of a license that is none of the checks.
type Condition struct {
	// Check is its name, and Before that of the check before which the call asks it.
	Check, Before string
	// Refusal is nil where the condition is met.
	Refusal  *apierr.Error
	Observed any
}

// Explanation is the verdict on a call with all that led to it.
type Explanation struct {
	// Refusal is nil where nothing that could be asked refuses the call; Undecided tells that something could not.
	Refusal   *apierr.Error
	Undecided bool
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
	// Passed is nil where there is no license to ask about, or no address.
	Passed          *bool
	Observed, Limit any
	// Reason is the message that the refused call answers, or what the question lacks; Remedy is the part of it that
	// says what to do. Both are empty where the check passed.
	Reason, Remedy string
}

// noAddress is the reason of a check that was not asked and could refuse.
const noAddress = "the question does not say from where the call comes, so this was not asked; send its address"

// Explainer tells what calls would be answered. It goes their way on copies, of which nothing is written.
type Explainer struct {
	Seats *Seats
	Reads Reads
	// Admit refuses all calls while this installation is not licensed itself; nil where it need not be.
	Admit func(context.Context) error
}

// Explain tells what a call would be answered and why. Errors: those of the call that are no verdicts.
func (s *Explainer) Explain(ctx context.Context, q Question) (Explanation, error) {
	if q.At.IsZero() {
		q.At = s.Seats.Clock.Now()
	}
	e := Explanation{At: q.At}
	if err := s.admitted(ctx, &e); err != nil {
		return Explanation{}, err
	}
	ch, err := s.asked(ctx, &q)
	if errors.Is(err, ErrNotFound) && q.Key != nil {
		replaced, err := s.replaced(ctx, &e, &q)
		if replaced || err != nil {
			return e, err
		}
	}
	if err == nil {
		e.named(&ch.License, &q)
		stored := ch.License
		if e.License = &stored; !e.ofProduct(&q.Client) {
			e.withoutLicense(&q)
			return e, nil
		}
	}
	if unknown := errors.Is(err, ErrNotFound); unknown || e.nobody(err) {
		if !unknown {
			e.Checks = append(e.Checks, Answer{Check: checks[0].name})
		}
		e.withoutLicense(&q)
		return e, nil
	}
	if err != nil {
		return Explanation{}, err
	}
	r, err := s.request(ctx, ch, &q)
	if err != nil {
		return Explanation{}, err
	}
	if r.Device != nil { // as it is stored: it may have been recognized under another id
		d, err := s.Reads.Device(ctx, e.License.ID, r.Device.ID)
		if err != nil {
			return Explanation{}, err
		}
		e.Device, r.HardwareID = &d, d.HardwareID
	}
	err = e.complete(ctx, r, &q)
	return e, err
}

// admitted asks whether this installation serves licenses, which is asked before all else.
func (s *Explainer) admitted(ctx context.Context, e *Explanation) error {
	if s.Admit == nil {
		return nil
	}
	c := Condition{Check: "installation_licensed"}
	if err := s.Admit(ctx); err != nil {
		if !errors.As(err, &c.Refusal) || c.Refusal.Kind != apierr.Forbidden {
			return err
		}
		c.Observed = c.Refusal.Details["status"]
	}
	e.add(c.answer(), c.Refusal)
	return nil
}

// asked is the license of a question with the device that it names; it puts down who came by an enrollment key, or has
// signed in.
func (s *Explainer) asked(ctx context.Context, q *Question) (ch *Change, err error) {
	switch {
	case q.Key != nil:
		q.LicenseID, q.Client.Enrollment, err = s.Reads.ByKey(ctx, *q.Key, q.At)
	case q.LicenseID == "" && q.Client.User == nil:
		err = ErrCredentials
	case q.LicenseID == "":
		q.LicenseID, err = q.Client.User.license()
	}
	if err == nil {
		ch, err = s.Seats.Store.Peek(ctx, q.LicenseID, []string{q.Client.HardwareID})
	}
	if err != nil {
		return nil, err
	}
	u := q.Client.signedIn()
	if q.User != "" {
		u, err = s.Reads.UserOf(ctx, &ch.License, q.User)
	}
	if u != nil {
		q.Client.User = &SignedIn{User: u, LicenseID: ch.License.ID}
	}
	return ch, err
}

// request is what the call would put before the checks.
func (s *Explainer) request(ctx context.Context, ch *Change, q *Question) (Request, error) {
	c, err := s.Seats.caller(ctx, &q.Client)
	if err == nil && ch.License.needsRelease(c.AppVersion) {
		c.released, err = s.Reads.ReleasedAt(ctx, ch.License.Product, c.AppVersion)
	}
	if err != nil {
		return Request{}, err
	}
	q.unasked = c.unasked(&ch.License, q.At)
	d, err := ch.device(c.Client, q.At)
	if err != nil {
		return Request{}, err
	}
	if err := ch.represent(c.Client, d); err != nil {
		return Request{}, err
	}
	if q.Operation == OperationFile && (d == nil || !d.IsActive) {
		q.Operation |= OperationActivate // a file takes a seat
	}
	if q.Operation&OperationActivate != 0 {
		return ch.wants(q.Operation, d, c, q.At)
	}
	if q.Operation == OperationUse && ch.License.LeaseIsSeat() {
		c.leased, err = s.Reads.Leased(ctx, ch.License.ID, q.Client.HardwareID, q.At)
		if err != nil {
			return Request{}, err
		}
	}
	return c.Asks(q.Operation, &ch.License, d, q.At), nil
}

// named judges the user whom a call names, which happens before anything else: somebody must have signed in, and a
// license that is named by its id must be one of that user.
func (e *Explanation) named(l *License, q *Question) {
	if q.User == "" && q.Client.User == nil || q.Client.Holder {
		return
	}
	var err error
	switch u := q.Client.User; {
	case u == nil:
		err = ErrCredentials
	case q.Key == nil:
		_, err = u.license()
	}
	e.refuse(err, Request{License: l, User: q.Client.signedIn()})
}

// nobody takes the refusal of a call that names no license, because it proves no user who has one.
func (e *Explanation) nobody(err error) bool {
	for _, refusal := range []*apierr.Error{ErrCredentials, ErrUserLocked, ErrNotAssigned} {
		if errors.Is(err, refusal) {
			return e.refuse(err, Request{})
		}
	}
	return false
}

// replaced reports whether the key of a call is a former one that works no more, of which only administrators are told.
func (s *Explainer) replaced(ctx context.Context, e *Explanation, q *Question) (bool, error) {
	id, until, err := s.Reads.FormerKey(ctx, *q.Key)
	if id == "" {
		return false, err
	}
	l, err := s.Reads.Find(ctx, id)
	if err != nil {
		return false, err
	}
	e.License = &l
	a := checks[0].failedAnswer(Request{License: &l})
	a.Limit = timeValue(until)
	a.say(fmt.Sprintf("the key was replaced by another one and stopped working on %s, so its client is told that "+
		"there is no such license; use the key that the license has now", until.Format(time.RFC3339)))
	e.add(a, ErrNotFound)
	e.withoutLicense(q)
	return true, nil
}

// errOtherProduct is ErrNotFound in the words for administrators; clients are not told that there is such a license.
var errOtherProduct = ErrNotFound.WithMessagef(
	"the license is of another product than the call names, so its client is told that there is no such license; " +
		"correct the product, leave it out, or use a license of that product")

// ofProduct reports whether the license is of the product that the call names, which is asked once it is known.
func (e *Explanation) ofProduct(c *Client) bool {
	if c.Product == "" {
		return true
	}
	e.add(checks[0].answer(Request{License: e.License}), ErrNotFound)
	a := Answer{
		Check: "product_matches", Passed: new(c.isFor(e.License)), Observed: e.License.Product, Limit: c.Product,
	}
	if !*a.Passed {
		a.say(errOtherProduct.Message)
	}
	e.add(a, errOtherProduct)
	return *a.Passed
}

// withoutLicense adds the checks that cannot be asked, because the call is about no license.
func (e *Explanation) withoutLicense(q *Question) {
	if q.Operation == OperationFile {
		q.Operation |= OperationActivate // nobody is known to have a seat
	}
	e.judge(Request{Operation: q.Operation, Now: q.At}, q, nil)
}

// refuse adds the check that refuses with err, if there is one.
func (e *Explanation) refuse(err error, r Request) bool {
	for i := range checks {
		if c := &checks[i]; errors.Is(err, c.refusal) {
			e.add(c.failedAnswer(r), c.refusal)
			return true
		}
	}
	return false
}

// complete judges a request once its facts are known. Facts that nobody gets, because the verdict comes before them,
// are no error.
func (e *Explanation) complete(ctx context.Context, r Request, q *Question) error {
	var condition *Condition
	var err error
	if q.Facts != nil {
		condition, err = q.Facts(ctx, &r)
	}
	e.judge(r, q, condition)
	var bad *apierr.Error
	if errors.As(err, &bad) && bad.Kind == apierr.Invalid && e.Refusal != nil {
		return nil
	}
	return err
}

// judge asks every check of the operation, except what has been asked, and the condition, nil for none, in its place.
func (e *Explanation) judge(r Request, q *Question, condition *Condition) {
	asked := e.Checks
	for i := range checks {
		c := &checks[i]
		if condition != nil && condition.Before == c.name {
			e.add(condition.answer(), condition.Refusal)
		}
		if c.asks(r.Operation) && !slices.ContainsFunc(asked, func(a Answer) bool { return a.Check == c.name }) {
			a := c.answer(r)
			if a.Passed != nil && *a.Passed && slices.Contains(q.unasked, c.name) {
				a.Passed, e.Undecided = nil, true
				a.say(noAddress)
			}
			e.add(a, c.refusal)
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
		return c.failedAnswer(r)
	}
	a.Passed = new(true)
	a.Observed, a.Limit = c.facts(r)
	return a
}

// say gives the answer a reason, which ends with the remedy.
func (a *Answer) say(reason string) {
	a.Reason = reason
	_, a.Remedy, _ = strings.Cut(reason, "; ")
}

func (c *Condition) answer() Answer {
	a := Answer{Check: c.Check, Passed: new(c.Refusal == nil), Observed: c.Observed}
	if c.Refusal != nil {
		a.say(c.Refusal.Message)
	}
	return a
}

// failedAnswer is the answer of a check that r does not pass.
func (c *check) failedAnswer(r Request) Answer {
	a := Answer{Check: c.name, Passed: new(false)}
	a.say(c.refusal.Message)
	if r.License != nil {
		a.Observed, a.Limit = c.facts(r)
	}
	return a
}
