package appliance

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/audit"
)

// GenerateMachineID gives this installation another machine id, a random one: nothing of the hardware is in it. That
// voids its license file. An upstream activates the new id and gets the seat of the old one back; where it refuses to,
// or does not answer, an installation that is licensed stays as it is. Errors: errRefused, errNoAnswer, errChanged.
func (a *Appliance) GenerateMachineID(ctx context.Context, by *audit.Actor) (id string, err error) {
	err = a.inTurn(ctx, func() error {
		id, err = a.generate(ctx, by)
		return err
	})
	return id, err
}

func (a *Appliance) generate(ctx context.Context, by *audit.Actor) (string, error) {
	before, status, err := a.Current(ctx)
	if err != nil {
		return "", err
	}
	next := newMachineID()
	if before.Cloud == nil {
		return next, a.rename(ctx, by, "", next, (*Cloud).unseat)
	}
	answer, err := a.move(ctx, before, next)
	if err == nil {
		return next, a.renameSeated(ctx, by, before, next, answer)
	}
	if status.Licensed() {
		return "", explained(err)
	}
	return next, a.rename(ctx, by, before.MachineID, next, (*Cloud).unseat)
}

// rename writes another machine id in the place of one, or of any if that is empty; cloud is told.
func (a *Appliance) rename(ctx context.Context, by *audit.Actor, from, to string, tell func(*Cloud)) error {
	return a.change(ctx, from, func(i *Installation) proto.Message {
		was := i.MachineID
		i.MachineID, i.File = to, nil
		if i.Cloud == nil {
			i.SeenAt = a.now() // no earlier file names the new id
		}
		if c := i.Cloud; c != nil {
			c.owe(was)
			owed := slices.DeleteFunc(slices.Clone(c.Left), func(id string) bool { return id == to })
			tell(c)
			c.Left = owed
		}
		return audit.Entry(by, "appliance.generate_machine_id",
			map[string]any{"machine_id": was}, map[string]any{"machine_id": to})
	})
}

// renameSeated is rename to an id that the upstream has activated.
func (a *Appliance) renameSeated(
	ctx context.Context, by *audit.Actor, before *Installation, to string, answer Answer,
) error {
	err := a.rename(ctx, by, before.MachineID, to, func(c *Cloud) {
		if c.ID != before.Cloud.ID {
			c.unseat() // connected again meanwhile
			return
		}
		c.hear(answer, nil, a.now())
		c.SeatedAt = a.now()
	})
	if err != nil {
		a.leave(ctx, &Installation{MachineID: to, Cloud: before.Cloud})
	}
	return err
}

// unseat notes that the machine id was not activated.
func (c *Cloud) unseat() { c.Unseated = true }

// move activates another machine id at the upstream. A license whose seats are all taken has that of the old id to
// spare; it is taken again where the new id does not get it. What ends this process, or keeps the new id from being
// written, is put in order by the next check: until then the old id counts as one to be activated, and the new one as
// one whose seat is to be given back.
func (a *Appliance) move(ctx context.Context, before *Installation, next string) (Answer, error) {
	calls, cancel := context.WithTimeout(ctx, activateTime)
	defer cancel()
	account, licenseID := before.Cloud.Account, before.Cloud.Answer.LicenseID
	if _, err := a.giveBackSoon(calls, before.Cloud); err != nil {
		return Answer{}, err
	}
	if err := a.moving(ctx, before, next); err != nil {
		return Answer{}, err
	}
	answer, err := a.activate(calls, account, next, licenseID)
	var refused *RefusedError
	if err == nil || !errors.As(err, &refused) || !refused.full() {
		return answer, err
	}
	if left := a.Upstream.Deactivate(calls, account, before.MachineID); left != nil {
		return answer, err
	}
	if answer, err = a.activate(calls, account, next, licenseID); err != nil {
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
		defer cancel()
		_, _ = a.activate(again, account, before.MachineID, licenseID)
	}
	return answer, err
}

// moving notes that the seat is about to be moved. No check is due meanwhile.
func (a *Appliance) moving(ctx context.Context, before *Installation, next string) error {
	return a.change(ctx, before.MachineID, func(i *Installation) proto.Message {
		if c := i.Cloud; c != nil && c.ID == before.Cloud.ID {
			c.owe(next)
			c.Unseated, c.CheckDue = true, a.now().Add(claimSpare)
		}
		return nil
	})
}
