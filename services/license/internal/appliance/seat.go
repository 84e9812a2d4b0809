package appliance

import (
	"context"
	"errors"
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

// leave gives the seat that an installation had at its upstream back, unless it is needed still. It is not needed that
// the upstream learns of it: it can free the seat itself.
func (a *Appliance) leave(ctx context.Context, left *Installation) {
	if left.Cloud == nil || left.Cloud.Unseated {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	now, err := a.Store.Installation(ctx)
	if err != nil || now != nil && now.sits(left) {
		return
	}
	_ = a.Upstream.Deactivate(ctx, left.Cloud.Account, left.MachineID)
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
