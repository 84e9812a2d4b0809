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

// giveBack gives the seats of other machine ids back that could not be given back before. A refusal says that there is
// none, or none to be had.
func (a *Appliance) giveBack(ctx context.Context, c *Cloud) error {
	if c == nil || len(c.Left) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	for _, id := range c.Left {
		err := a.Upstream.Deactivate(ctx, c.Account, id)
		if refused := (*RefusedError)(nil); err != nil && !errors.As(err, &refused) {
			return err
		}
	}
	return nil
}

// sits tells whether an installation has the seat that another has or had. The ids of licenses are unique everywhere,
// while addresses and keys can be written in several ways.
func (i *Installation) sits(other *Installation) bool {
	if i.Cloud == nil || i.MachineID != other.MachineID {
		return false
	}
	id := i.Cloud.Answer.LicenseID
	return i.Cloud.sameSeat(&other.Cloud.Account) || id != "" && id == other.Cloud.Answer.LicenseID
}
