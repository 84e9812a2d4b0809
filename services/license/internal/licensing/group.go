package licensing

import (
	"context"
	"encoding/json"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/uid"
)

// Group is licenses that share limits.
type Group struct {
	// ID is a UUID.
	ID   string
	Name string
	// MaxDevices bounds the seats that are taken on all licenses of the group together, MaxLicenses the licenses,
	// whatever their state; both may be Unlimited. Lowering them below what is used keeps that and admits no more.
	MaxDevices, MaxLicenses int
	// CurrentDevices and CurrentLicenses are what is used.
	CurrentDevices, CurrentLicenses int
	// Metadata is a JSON object, byte for byte as the vendor sent it.
	Metadata json.RawMessage
	// Version grows with each change of the group.
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
}

// GroupError is ErrGroupLimit for a license that has no place in the group.
type GroupError struct {
	refusal
	Group Group
}

// errGroupFull is ErrGroupLimit for a license.
var errGroupFull = ErrGroupLimit.WithMessagef(
	"the group has no room for the license and its devices; raise the limits of the " +
		"group, or choose another")

// Admit takes a license with so many seats into the group. Errors: GroupError.
func (g *Group) Admit(devices int) error {
	if g.CurrentLicenses >= g.MaxLicenses || devices > 0 && g.CurrentDevices+devices > g.MaxDevices {
		return &GroupError{refusal{errGroupFull}, *g}
	}
	g.CurrentLicenses++
	g.CurrentDevices += devices
	return nil
}

// seatFree reports whether another device may take a seat; it may where there is no group.
func (g *Group) seatFree() bool { return g == nil || g.CurrentDevices < g.MaxDevices }

// seats are the facts of the check of the group.
func (g *Group) seats() (taken, limit any) {
	if g == nil {
		return nil, nil
	}
	return g.CurrentDevices, countValue(g.MaxDevices, Unlimited)
}

// ErrUnknownGroup says that a license names a group which is not there.
var ErrUnknownGroup = apierr.InvalidField("group_id", "no group has this id; the list of groups shows them")

// checkGroupID notes what cannot be the id of a group.
func checkGroupID(problems map[string]string, id string) {
	if id != "" && !uid.Is(id) {
		problems["group_id"] = "must be the group_id of a group"
	}
}

// joinGroup has the group of the license, if it has another one than before, admit it.
func (ch *Change) joinGroup(before string) error {
	l := &ch.License
	if l.GroupID == "" || l.GroupID == before {
		return nil
	}
	g, err := ch.Reads.Group(l.GroupID)
	if err != nil {
		return err
	}
	if g == nil {
		return ErrUnknownGroup
	}
	return g.Admit(l.CurrentDevices)
}

// LeaveGroup takes a license out of a group. One that is not in it stays as it is. Errors: ErrNotFound.
func (s *Licenses) LeaveGroup(ctx context.Context, by *Actor, licenseID, groupID string) error {
	return s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		if ch.License.GroupID != groupID {
			return nil
		}
		return ch.patch(by, Patch{GroupID: Null[string]()}, s.Clock.Now())
	})
}

// shared finds what several licenses share of seats: the limits of the user, and those of the group, locked in this
// order.
func (ch *Change) shared(r *Request) error {
	if err := ch.user(r); err != nil {
		return err
	}
	var err error
	r.Group, err = ch.group()
	return err
}

// group is the group of the license, under lock; nil for none.
func (ch *Change) group() (*Group, error) {
	if ch.License.GroupID == "" {
		return nil, nil
	}
	return ch.Reads.Group(ch.License.GroupID)
}
