package appliance

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Cloud is a connection to an upstream, and what was learned of it.
type Cloud struct {
	Account
	// ID tells the connection from earlier and later ones.
	ID          string
	ConnectedAt time.Time
	// SeatedAt is when a change last gave the machine id its seat.
	SeatedAt time.Time
	// Unseated says that the machine id has yet to be activated.
	Unseated bool
	// Left are other machine ids whose seats have yet to be given back, if they have some: earlier ones, and one that
	// is to be the next.
	Left []string
	// HeardAt is when the call was made to which the upstream last said that the installation is licensed.
	HeardAt time.Time
	// Refusal is the error code of the last answer, empty for a good one.
	Refusal string
	// Failures are the calls without an answer since the last answer.
	Failures int
	// Answer is the last good one. Its statement has done its work.
	Answer Answer
	// CheckDue is when the upstream is asked next.
	CheckDue time.Time
}

// settleTime is for how long after a change gave it a seat may be missed because of other changes at that time.
const settleTime = 2 * time.Minute

// Answer is what an upstream says of a license.
type Answer struct {
	LicenseID   string
	Product     string
	LicenseType string
	// ExpiresAt is the end of the license, UsableUntil that of its grace; zero for none.
	ExpiresAt, UsableUntil time.Time
	// Statement is the signed form of all this, of package licensefile of proto; empty where none was asked for.
	Statement string
	// Taken says that the call took a seat, which was not there before.
	Taken bool
}

// ended takes in that the license has an end, which what was heard before may have known nothing of.
func (a *Answer) ended(refused *RefusedError) {
	if refused.Code != errcode.LicenseExpired {
		return
	}
	a.ExpiresAt = refused.ExpiresAt
	if a.LicenseType == licensing.TypePerpetual {
		a.LicenseType = licensing.TypeTimeLimited
	}
}

// status of a connection: without an answer it lasts for Grace (status.go). What the upstream refused stays refused
// until it says otherwise, however long it is away; and a license whose end is known does not go on beyond it because
// nobody can be asked.
func (c *Cloud) status(now time.Time, setBack bool) Status {
	switch {
	case c.Refusal == errcode.LicenseExpired:
		return Expired
	case c.Refusal != "":
		return Invalid
	case c.Failures == 0 && !setBack && now.Before(c.HeardAt.Add(freshFor)):
		return Valid
	case !now.Before(c.HeardAt.Add(Grace)), !c.Answer.UsableUntil.IsZero() && !now.Before(c.Answer.UsableUntil):
		return Expired
	}
	return GracePeriod
}

// hear takes in what became of a call that was made at a time. A seat that is missed right after it was taken was given
// back by somebody who changed the license at the same time: it is taken again.
func (c *Cloud) hear(answer Answer, err error, now time.Time) {
	var refused *RefusedError
	switch {
	case errors.As(err, &refused) && refused.Code == errcode.DeviceNotActivated && !c.Unseated &&
		now.Sub(c.SeatedAt).Abs() < settleTime:
		c.Unseated = true
		c.Failures++
	case err == nil:
		c.HeardAt, c.Refusal, c.Failures, c.Answer = now, "", 0, answer
		c.Unseated = false
	case errors.As(err, &refused):
		c.Refusal, c.Failures = refused.Code, 0
		c.Answer.ended(refused)
	default:
		c.Failures++
	}
}

// Connect licenses this installation by an account at an upstream, in the place of the license that it has. Errors:
// VALIDATION_ERROR, errRefused, errNoAnswer, errChanged.
func (a *Appliance) Connect(ctx context.Context, by *audit.Actor, account Account) error {
	return a.inTurn(ctx, func() error { return a.connect(ctx, by, account) })
}

func (a *Appliance) connect(ctx context.Context, by *audit.Actor, account Account) error {
	if account.URL == "" {
		account.URL = a.UpstreamURL
	}
	if err := account.check(); err != nil {
		return err
	}
	before, _, err := a.Current(ctx)
	if err != nil {
		return err
	}
	calls, cancel := context.WithTimeout(ctx, activateTime)
	defer cancel()
	owed, _ := a.giveBackSoon(calls, before.Cloud) // else the license may be full
	begun := a.now()
	answer, err := a.activate(calls, account, before.MachineID, "")
	if err != nil {
		return explained(err)
	}
	now := a.now()
	made := &Cloud{
		Account:     account,
		ID:          uuid.NewString(),
		ConnectedAt: now,
		SeatedAt:    now,
		CheckDue:    now.Add(a.pause(0)),
	}
	made.hear(answer, nil, begun)
	if before.sits(&Installation{MachineID: before.MachineID, Cloud: made}) {
		made.Left = owed // else the change gives them back
	}
	err = a.change(ctx, before.MachineID, func(i *Installation) proto.Message {
		i.license(nil, made, now)
		i.SeenAt = now // the upstream stands for it
		return audit.Entry(by, "appliance.configure_cloud", nil, map[string]any{
			"machine_id": i.MachineID, "url": account.URL, "license_id": answer.LicenseID,
			"proxied": account.Proxy != nil,
		})
	})
	if err != nil {
		a.leave(ctx, &Installation{MachineID: before.MachineID, Cloud: made})
	}
	return err
}
