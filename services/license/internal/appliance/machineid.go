package appliance

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/audit"
)

// GenerateMachineID gives this installation another machine id. That voids its license file. An upstream activates the
// new id and gets the seat of the old one back; where it refuses to, or does not answer, an installation that is
// licensed stays as it is. Errors: errRefused, errNoAnswer, errChanged.
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
		if i.Cloud != nil {
			tell(i.Cloud)
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
	})
	if err != nil {
		a.leave(ctx, &Installation{MachineID: to, Cloud: before.Cloud})
	}
	return err
}

// unseat notes that the machine id was not activated.
func (c *Cloud) unseat() { c.Unseated = true }

// move activates another machine id at the upstream. A license whose seats are all taken has that of the old id to
// spare; it is taken again where the new id does not get it.
func (a *Appliance) move(ctx context.Context, before *Installation, next string) (Answer, error) {
	account, licenseID := before.Cloud.Account, before.Cloud.Answer.LicenseID
	answer, err := a.activate(ctx, account, next, licenseID)
	var refused *RefusedError
	if err == nil || !errors.As(err, &refused) || !refused.full() || before.Cloud.Unseated {
		return answer, err
	}
	if left := a.Upstream.Deactivate(ctx, account, before.MachineID); left != nil {
		return answer, err
	}
	if answer, err = a.activate(ctx, account, next, licenseID); err != nil {
		_, _ = a.activate(context.WithoutCancel(ctx), account, before.MachineID, licenseID)
	}
	return answer, err
}
