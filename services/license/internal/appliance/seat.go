package appliance

import (
	"context"
	"errors"
	"slices"
	"time"
)

// How long a request waits for the upstream: to be licensed, and to give a seat back.
const (
	activateTime = 20 * time.Second
	leaveTime    = 4 * time.Second
)

// activate takes a seat of a license, of any where its id is not known yet. An upstream that does not prove itself gets
// it back, unless it was taken before: it may be the one in use, at an address that is written in another way.
func (a *Appliance) activate(ctx context.Context, account Account, machineID, licenseID string) (Answer, error) {
	calls, cancel := context.WithTimeout(ctx, min(account.timeout(), activateTime))
	defer cancel()
	answer, err := a.prove(calls, machineID, licenseID, func(nonce string) (Answer, error) {
		return a.Upstream.Activate(calls, account, machineID, nonce)
	})
	if errors.Is(err, errNotTrusted) && answer.Taken {
		a.leave(ctx, &Installation{MachineID: machineID, Cloud: &Cloud{Account: account}})
	}
	return answer, err
}

// leave gives the seats that an installation had at its upstream back, unless they are needed still. It is not needed
// that the upstream learns of it: it can free the seats itself.
func (a *Appliance) leave(ctx context.Context, left *Installation) {
	if left.Cloud == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	now, err := a.Store.Installation(ctx)
	if err != nil {
		return
	}
	for _, id := range append([]string{left.MachineID}, left.Cloud.Left...) {
		if now == nil || !now.sits(&Installation{MachineID: id, Cloud: left.Cloud}) {
			_ = a.Upstream.Deactivate(ctx, left.Cloud.Account, id)
		}
	}
}

// maxLeft is how many machine ids are remembered to give their seats back.
const maxLeft = 8

// owe notes that the seat of a machine id has yet to be given back. Of too many the first stays, which is the one that
// had a seat for certain.
func (c *Cloud) owe(machineID string) {
	if slices.Contains(c.Left, machineID) {
		return
	}
	if c.Left = append(slices.Clone(c.Left), machineID); len(c.Left) > maxLeft {
		c.Left = slices.Delete(c.Left, 1, 2)
	}
}

// giveBack gives the seats of other machine ids back that could not be given back before. A refusal means that the id
// has no seat, or that the upstream does not free it. Those of which the upstream did not answer are owed still.
func (a *Appliance) giveBack(ctx context.Context, c *Cloud) (owed []string, err error) {
	if c == nil {
		return nil, nil
	}
	for _, id := range c.Left {
		failed := a.deactivate(ctx, c.Account, id)
		if refused := (*RefusedError)(nil); failed != nil && !errors.As(failed, &refused) {
			owed, err = append(owed, id), failed
		}
	}
	return owed, err
}

func (a *Appliance) deactivate(ctx context.Context, account Account, machineID string) error {
	ctx, cancel := context.WithTimeout(ctx, account.timeout())
	defer cancel()
	return a.Upstream.Deactivate(ctx, account, machineID)
}

// giveBackSoon is giveBack for a request that waits.
func (a *Appliance) giveBackSoon(ctx context.Context, c *Cloud) (owed []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	return a.giveBack(ctx, c)
}

// sits reports whether an installation has the seat that another has or had. The ids of licenses are unique everywhere,
// while addresses and keys can be written in several ways.
func (i *Installation) sits(other *Installation) bool {
	if i.Cloud == nil || i.MachineID != other.MachineID {
		return false
	}
	id := i.Cloud.Answer.LicenseID
	return i.Cloud.sameSeat(&other.Cloud.Account) || id != "" && id == other.Cloud.Answer.LicenseID
}
