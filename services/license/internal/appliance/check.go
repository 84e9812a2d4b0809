package appliance

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
)

const (
	// longestPause is the longest time between two calls of an upstream that does not answer.
	longestPause = 5 * time.Minute
	// claimSpare is how long a process that checks may take beside the call.
	claimSpare = 30 * time.Second
)

// Check asks the upstream whether this installation is licensed still, where that is due by what Refresh has read. Of
// several processes one asks. An answer about another machine id or connection than those of now is dropped.
func (a *Appliance) Check(ctx context.Context) error {
	i := a.known()
	if i == nil || i.MachineID == "" {
		return nil
	}
	if i.Cloud == nil || !a.due(i.Cloud) {
		return a.see(ctx, i)
	}
	claimed, err := a.Store.ClaimCheck(ctx, i.Version, a.now().Add(i.Cloud.checkTime()))
	if err != nil || !claimed {
		return err
	}
	begun := a.now() // an answer that somebody held back is as old as the question
	answer, owed, asked := a.ask(ctx, i)
	if ctx.Err() != nil {
		return nil // this process ends; another one asks
	}
	err = a.change(ctx, i.MachineID, func(now *Installation) proto.Message {
		if now.Cloud == nil || now.Cloud.ID != i.Cloud.ID {
			return nil
		}
		unseated, moving := now.Cloud.Unseated, !slices.Equal(now.Cloud.Left, i.Cloud.Left)
		if moving && asked != nil {
			return nil // this machine id may have lost its seat to the next one
		}
		now.Cloud.hear(answer, asked, begun)
		if asked == nil {
			now.SeenAt = a.now() // the upstream stands for it
		}
		if moving {
			now.Cloud.Unseated = unseated // the seat is being moved, and no check is due meanwhile
			return nil
		}
		if asked == nil {
			now.Cloud.Left = owed
		}
		now.Cloud.CheckDue = a.now().Add(a.pause(now.Cloud.Failures))
		return nil
	})
	if errors.Is(asked, errNotTrusted) {
		err = errors.Join(err, asked) // no outage: somebody has to look
	}
	return err
}

// due reports whether the upstream is to be asked; when the clock was set back, also before the time for that.
func (a *Appliance) due(c *Cloud) bool {
	now := a.now()
	longest := c.checkTime() + max(a.CheckEvery, longestPause)
	return !now.Before(c.CheckDue) || c.CheckDue.After(now.Add(longest))
}

// seeEvery is how often the time is kept.
const seeEvery = time.Hour

// see keeps the time, now and then.
func (a *Appliance) see(ctx context.Context, i *Installation) error {
	a.mu.Lock()
	kept := a.keeper.kept
	a.mu.Unlock()
	if i.SeenAt.Before(kept.Add(seeEvery)) {
		return nil
	}
	return a.change(ctx, "", func(*Installation) proto.Message { return nil })
}

// checkTime is how long a check may take: each of its calls has the timeout of the account.
func (c *Cloud) checkTime() time.Duration {
	return time.Duration(1+len(c.Left))*c.timeout() + claimSpare
}

// ask asks the upstream, and gives back what is owed: first where this machine id may need one of those seats, and else
// afterwards, so that nobody who has a seat is unlicensed because another one cannot be given back. What is owed still
// counts after a good answer alone.
func (a *Appliance) ask(ctx context.Context, i *Installation) (answer Answer, owed []string, err error) {
	if !i.Cloud.Unseated {
		answer, err = a.askOnce(ctx, i, a.Upstream.Validate)
		owed, _ = a.giveBack(ctx, i.Cloud)
		return answer, owed, err
	}
	if owed, err = a.giveBack(ctx, i.Cloud); err == nil {
		answer, err = a.askOnce(ctx, i, a.Upstream.Activate)
	}
	return answer, owed, err
}

func (a *Appliance) askOnce(
	ctx context.Context, i *Installation, call func(context.Context, Account, string, string) (Answer, error),
) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, i.Cloud.timeout())
	defer cancel()
	return a.prove(ctx, i.MachineID, i.Cloud.Answer.LicenseID, func(nonce string) (Answer, error) {
		return call(ctx, i.Cloud.Account, i.MachineID, nonce)
	})
}

// pause is how long the upstream is left alone after so many calls without an answer. Many installations that lost it
// together do not come back together.
func (a *Appliance) pause(failures int) time.Duration {
	pause := a.CheckEvery
	for i := 1; i < failures && pause < longestPause; i++ {
		pause *= 2
	}
	pause = max(a.CheckEvery, min(pause, longestPause))
	return pause - time.Duration(rand.Int64N(int64(pause)/5+1))
}
