// Package group is what administrators do with groups: licenses that share limits. The rules of licensing ask the
// limits: the row group_seat_free of licensing/verdict.go at an activation, licensing/group.go where a license comes
// in.
package group

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Bounds of what an administrator may write.
const (
	maxName          = 255
	maxMetadataBytes = 64 << 10
)

// Groups are the use cases of administrators for groups.
type Groups struct {
	Store    Store
	Licenses *licensing.Licenses
	Clock    clock.Clock
}

// Change changes the members that are given. Limits that are null are licensing.Unlimited.
type Change struct {
	Name                    *string
	MaxDevices, MaxLicenses licensing.Optional[int]
	Metadata                *json.RawMessage
}

// Create makes a group. Errors: VALIDATION_ERROR.
func (s *Groups) Create(ctx context.Context, by *licensing.Actor, c Change) (licensing.Group, error) {
	now := s.Clock.Now()
	g := licensing.Group{
		ID:          uuid.Must(uuid.NewV7()).String(),
		MaxDevices:  licensing.Unlimited,
		MaxLicenses: licensing.Unlimited,
		Metadata:    json.RawMessage("{}"),
		Version:     1,
		CreatedAt:   now,
		UpdatedAt:   now,
	}
	if c.Name == nil {
		return licensing.Group{}, apierr.InvalidField("name", "is required")
	}
	if err := c.check(); err != nil {
		return licensing.Group{}, err
	}
	c.apply(&g)
	err := s.Store.CreateGroup(ctx, g, []proto.Message{
		&eventsv1.GroupCreated{Group: snapshot(&g)}, audit.Entry(by, "group.create", nil, named(&g, auditView(&g))),
	})
	return g, err
}

// Find reads a group. Errors: ErrNotFound.
func (s *Groups) Find(ctx context.Context, id string) (licensing.Group, error) {
	g, err := s.Store.Group(ctx, id)
	if err == nil && g == nil {
		err = ErrNotFound
	}
	if err != nil {
		return licensing.Group{}, err
	}
	return *g, nil
}

// Update changes a group that has the version, where that is not nil. A change that changes nothing publishes nothing.
// Errors: VALIDATION_ERROR, ErrNotFound, VERSION_MISMATCH.
func (s *Groups) Update(
	ctx context.Context, by *licensing.Actor, id string, version licensing.Versions, c Change,
) (licensing.Group, error) {
	if err := c.check(); err != nil {
		return licensing.Group{}, err
	}
	return s.Store.ChangeGroup(ctx, id, func(g *licensing.Group) ([]proto.Message, error) {
		if err := licensing.CheckVersion(version, g.Version); err != nil {
			return nil, err
		}
		before := auditView(g)
		c.apply(g)
		was, is := audit.Changes(before, auditView(g))
		if len(is) == 0 {
			return nil, nil
		}
		g.Version++
		g.UpdatedAt = s.Clock.Now()
		return []proto.Message{
			&eventsv1.GroupUpdated{Group: snapshot(g), Changed: slices.Sorted(maps.Keys(is))},
			audit.Entry(by, "group.update", was, named(g, is)),
		}, nil
	})
}

// errNotEmpty says that licenses came into a group while it was being deleted.
var errNotEmpty = errors.New("the group has licenses")

// emptied is how many licenses leave a group between two attempts to delete it.
const emptied = 100

// Delete removes a group that has the version, where that is not nil. Its licenses stay, and leave it one by one
// before; what was done remains done when it fails on the way. Errors: ErrNotFound, VERSION_MISMATCH.
func (s *Groups) Delete(ctx context.Context, by *licensing.Actor, id string, version licensing.Versions) error {
	for {
		err := s.Store.DeleteGroup(ctx, id, func(g *licensing.Group) ([]proto.Message, error) {
			if err := licensing.CheckVersion(version, g.Version); err != nil {
				return nil, err
			}
			if g.CurrentLicenses > 0 {
				return nil, errNotEmpty
			}
			return []proto.Message{
				&eventsv1.GroupDeleted{Group: snapshot(g)},
				audit.Entry(by, "group.delete", named(g, auditView(g)), nil),
			}, nil
		})
		if !errors.Is(err, errNotEmpty) {
			return err
		}
		if err := s.empty(ctx, by, id); err != nil {
			return err
		}
	}
}

// empty has licenses leave a group, as PATCH does.
func (s *Groups) empty(ctx context.Context, by *licensing.Actor, id string) error {
	licenses, err := s.Store.LicensesOf(ctx, id, emptied)
	if err != nil {
		return err
	}
	for _, licenseID := range licenses {
		if err := s.Licenses.LeaveGroup(ctx, by, licenseID, id); err != nil {
			return err
		}
	}
	return nil
}

// check tells what is wrong with the members that are given.
func (c *Change) check() error {
	p := apierr.Fields{}
	if c.Name != nil {
		if strings.TrimSpace(*c.Name) == "" {
			p.Add("name", "must not be empty")
		} else if utf8.RuneCountInString(*c.Name) > maxName {
			p.Add("name", fmt.Sprintf("must have at most %d characters", maxName))
		}
	}
	checkLimit(p, "max_devices", c.MaxDevices)
	checkLimit(p, "max_licenses", c.MaxLicenses)
	if c.Metadata != nil {
		if len(*c.Metadata) > maxMetadataBytes {
			p.Add("metadata", "must be at most 64 KiB of JSON")
		} else if m := bytes.TrimSpace(*c.Metadata); len(m) > 0 && m[0] != '{' {
			p.Add("metadata", "must be an object")
		}
	}
	return p.Err()
}

func checkLimit(p apierr.Fields, name string, limit licensing.Optional[int]) {
	if limit.Present && !limit.Null && (limit.Value < 1 || limit.Value > licensing.MaxDevicesLimit) {
		p.Add(name, fmt.Sprintf("must be from 1 to %d, or null for any number", licensing.MaxDevicesLimit))
	}
}

func (c *Change) apply(g *licensing.Group) {
	if c.Name != nil {
		g.Name = *c.Name
	}
	setLimit(&g.MaxDevices, c.MaxDevices)
	setLimit(&g.MaxLicenses, c.MaxLicenses)
	if c.Metadata != nil && len(*c.Metadata) > 0 {
		g.Metadata = *c.Metadata
	}
}

func setLimit(member *int, limit licensing.Optional[int]) {
	if limit.Null {
		*member = licensing.Unlimited
	} else if limit.Present {
		*member = limit.Value
	}
}

func snapshot(g *licensing.Group) *eventsv1.Group {
	return &eventsv1.Group{
		GroupId:         g.ID,
		Name:            g.Name,
		MaxDevices:      int32(g.MaxDevices),
		MaxLicenses:     int32(g.MaxLicenses),
		CurrentDevices:  int32(g.CurrentDevices),
		CurrentLicenses: int32(g.CurrentLicenses),
		Version:         int32(g.Version),
		CreatedAt:       timestamppb.New(g.CreatedAt),
		UpdatedAt:       timestamppb.New(g.UpdatedAt),
	}
}

// auditView is what the audit log shows of a group, by its public names.
func auditView(g *licensing.Group) map[string]any {
	return map[string]any{
		"name": g.Name, "max_devices": limitValue(g.MaxDevices), "max_licenses": limitValue(g.MaxLicenses),
		"metadata": g.Metadata,
	}
}

// named adds to members of a group which group it is.
func named(g *licensing.Group, members map[string]any) map[string]any {
	members["group_id"] = g.ID
	return members
}

func limitValue(n int) any {
	if n == licensing.Unlimited {
		return nil
	}
	return n
}
