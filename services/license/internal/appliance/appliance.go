// Package appliance is about the license of this installation itself: an appliance has a machine id, and is licensed by
// a file or by another Latchkey, its upstream. While it is not licensed it serves no licenses of its own. Package
// dialect/spectra has the API of that, docs/dialects/spectra-analyze.md explains it.
package appliance

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// Installation is what is known of the license of this installation. Of File and Cloud at most one is there: the newer
// license takes the place of the other.
type Installation struct {
	MachineID string
	File      *File
	Cloud     *Cloud
	// LicensedAt is when the first license was put on this installation, zero before.
	LicensedAt time.Time
	// SeenAt is the latest time that was seen: a clock that is set back brings nothing back.
	SeenAt time.Time
	// Version counts the changes.
	Version int
}

// Appliance is the use cases.
type Appliance struct {
	Deps
	turn    chan struct{} // has room for anyone who changes the license: one at a time, with the calls of the upstream
	mu      sync.Mutex    // guards last and keeper
	last    *Installation
	keeper  timekeeper
	verdict atomic.Pointer[verdict]
}

// Deps is what an Appliance works with.
type Deps struct {
	Store    Store
	Upstream Upstream
	Trust    Trust
	// UpstreamURL is asked where configure names no other; it may be empty.
	UpstreamURL string
	// CheckEvery is how often the upstream is asked.
	CheckEvery time.Duration
	// Required has licenses refused until a license is put on this installation; else they are refused from then on.
	Required bool
	Clock    clock.Clock
}

// New returns the use cases.
func New(d Deps) *Appliance { return &Appliance{Deps: d, turn: make(chan struct{}, 1)} }

// turnTime is how long a change waits for another one; with its calls it stays within the time of a request.
const turnTime = 4 * time.Second

// inTurn changes the license when nobody else of this process does. Errors: errChanged.
func (a *Appliance) inTurn(ctx context.Context, change func() error) error {
	waiting, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	select {
	case a.turn <- struct{}{}:
	case <-waiting.Done():
		return errChanged.WithCause(waiting.Err())
	}
	defer func() { <-a.turn }()
	return change()
}

// Current is the license of this installation. A machine id is made where there is none, but not while the database
// takes no changes.
func (a *Appliance) Current(ctx context.Context) (*Installation, Status, error) {
	i, err := a.Store.Installation(ctx)
	if err == nil && i == nil {
		i, err = a.Store.AddInstallation(ctx, newMachineID(), a.now())
		if errors.Is(err, apierr.ErrMaintenance) {
			i, err = &Installation{}, nil
		}
	}
	if err != nil {
		return nil, "", err
	}
	if err := a.open(ctx, i); err != nil {
		return nil, "", err
	}
	a.note(i)
	return i, i.Status(a.now()), nil
}

// change writes what decide makes of the installation, with the entry of the audit log that it returns, and gives the
// seat that is left back. machineID, unless empty, is what the machine id must be still. Errors: errChanged.
func (a *Appliance) change(ctx context.Context, machineID string, decide func(*Installation) proto.Message) error {
	var was, is Installation
	err := a.Store.ChangeInstallation(ctx, func(i *Installation) ([]proto.Message, error) {
		if machineID != "" && i.MachineID != machineID {
			return nil, errChanged
		}
		if was = *i; i.Cloud != nil {
			cloud := *i.Cloud
			was.Cloud = &cloud // which decide changes
		}
		i.SeenAt = a.seen(i.SeenAt)
		entry := decide(i)
		is = *i
		if entry == nil {
			return nil, nil
		}
		return []proto.Message{entry}, nil
	})
	if err != nil {
		return err
	}
	if was.Cloud != nil && !is.sits(&was) {
		a.leave(ctx, &was)
	}
	return a.Refresh(ctx)
}

// license puts a license in the place of the one before.
func (i *Installation) license(f *File, c *Cloud, now time.Time) {
	i.File, i.Cloud = f, c
	if i.LicensedAt.IsZero() && (f == nil || !f.ownIssuer) {
		i.LicensedAt = now
	}
}

// seen is the latest time that was seen, of which kept is in the store.
func (a *Appliance) seen(kept time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keeper.at(kept, a.now())
}

// open finds who signed the file of an installation that was read, and what time it is for it.
func (a *Appliance) open(ctx context.Context, i *Installation) (err error) {
	i.SeenAt = a.seen(i.SeenAt)
	if i.File != nil {
		err = a.Trust.findIssuer(ctx, i.File)
	}
	return err
}

func (a *Appliance) now() time.Time { return a.Clock.Now() }

func newMachineID() string { return uuid.NewString() }
