package store

import (
	"context"
	"encoding/json"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/group"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// groupRow mirrors the table license_groups.
type groupRow struct {
	ID          string
	Name        string
	MaxDevices  *int
	MaxLicenses *int
	Metadata    string
	Version     int
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// groupUse is what is used of a group.
type groupUse struct {
	GroupID           string
	Licenses, Devices int
}

func newGroupRow(g *licensing.Group) groupRow {
	return groupRow{
		ID:          g.ID,
		Name:        g.Name,
		MaxDevices:  limitOrNull(g.MaxDevices),
		MaxLicenses: limitOrNull(g.MaxLicenses),
		Metadata:    encodeMetadata(g.Metadata),
		Version:     g.Version,
		CreatedAt:   g.CreatedAt,
		UpdatedAt:   g.UpdatedAt,
	}
}

func (r *groupRow) group() licensing.Group {
	return licensing.Group{
		ID:          r.ID,
		Name:        r.Name,
		MaxDevices:  limitOrUnlimited(r.MaxDevices),
		MaxLicenses: limitOrUnlimited(r.MaxLicenses),
		Metadata:    json.RawMessage(r.Metadata),
		Version:     r.Version,
		CreatedAt:   r.CreatedAt.UTC(),
		UpdatedAt:   r.UpdatedAt.UTC(),
	}
}

// limitOrNull is NULL for licensing.Unlimited.
func limitOrNull(n int) *int {
	if n == licensing.Unlimited {
		return nil
	}
	return &n
}

func limitOrUnlimited(n *int) int {
	if n == nil {
		return licensing.Unlimited
	}
	return *n
}

// readGroups reads groups by their ids, in their order, with what is used of them. Where rows locks them, the use is
// counted by its own statement afterwards: it sees what those who held the lock before have committed.
func readGroups(rows, uses *gorm.DB, ids []string) ([]licensing.Group, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var found []groupRow
	if err := rows.Table("license_groups").Where("id IN ?", ids).Order("id").Find(&found).Error; err != nil {
		return nil, err
	}
	groups := make([]licensing.Group, len(found))
	for i := range found {
		groups[i] = found[i].group()
	}
	return groups, countUse(uses, groups)
}

// countUse counts what is used of groups.
func countUse(tx *gorm.DB, groups []licensing.Group) error {
	at := make(map[string]*licensing.Group, len(groups))
	ids := make([]string, len(groups))
	for i := range groups {
		ids[i], at[groups[i].ID] = groups[i].ID, &groups[i]
	}
	var uses []groupUse
	err := tx.Table("licenses").
		Select("group_id, count(*) AS licenses, coalesce(sum(current_devices), 0) AS devices").
		Where("group_id IN ?", ids).Group("group_id").Find(&uses).Error
	for _, use := range uses {
		at[use.GroupID].CurrentLicenses, at[use.GroupID].CurrentDevices = use.Licenses, use.Devices
	}
	return err
}

// oneGroup is readGroups for one, nil for none.
func oneGroup(rows, uses *gorm.DB, id string) (*licensing.Group, error) {
	if !uid.Is(id) {
		return nil, nil
	}
	found, err := readGroups(rows, uses, []string{id})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// Group implements licensing.LockedReads.
func (r *lockedReads) Group(id string) (*licensing.Group, error) {
	return oneGroup(r.tx.Session(&gorm.Session{}), r.plain(), id)
}

// heldGroups are groups under lock, by id.
type heldGroups map[string]*licensing.Group

// lockGroups locks the groups of licenses that are to be made, in the order of their ids so that nobody waits in a
// circle.
func (s *Store) lockGroups(tx *gorm.DB, rows []licensing.NewRow) (heldGroups, error) {
	var ids []string
	for i := range rows {
		if id := rows[i].License.GroupID; id != "" {
			ids = append(ids, id)
		}
	}
	found, err := readGroups(s.db.Lock(tx), tx, ids)
	held := make(heldGroups, len(found))
	for i := range found {
		held[found[i].ID] = &found[i]
	}
	return held, err
}

// admit takes a new license into its group, if it has one.
func (held heldGroups) admit(l *licensing.License) error {
	if l.GroupID == "" {
		return nil
	}
	g := held[l.GroupID]
	if g == nil {
		return licensing.ErrUnknownGroup
	}
	return g.Admit(l.CurrentDevices)
}

// CreateGroup implements group.Store.
func (s *Store) CreateGroup(ctx context.Context, g licensing.Group, events []proto.Message) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		row := newGroupRow(&g)
		if err := tx.Table("license_groups").Create(&row).Error; err != nil {
			return err
		}
		return s.publish(ctx, tx, g.ID, events)
	}))
}

// Group implements group.Store and licensing.Reads.
func (s *Store) Group(ctx context.Context, id string) (*licensing.Group, error) {
	g, err := oneGroup(s.db.Read(ctx), s.db.Read(ctx), id)
	return g, db.Error(err)
}

// Groups implements group.Store.
func (s *Store) Groups(ctx context.Context, span licensing.Span) (licensing.Page[licensing.Group], error) {
	all := func() *gorm.DB { return s.db.Read(ctx).Table("license_groups") }
	newest := newestFirst("created_at", func(r *groupRow) (time.Time, string) { return r.CreatedAt, r.ID })
	page, err := readPage(all, allColumns, span, newest, (*groupRow).group)
	if err != nil || len(page.Items) == 0 {
		return page, err
	}
	return page, db.Error(countUse(s.db.Read(ctx), page.Items))
}

// ChangeGroup implements group.Store.
func (s *Store) ChangeGroup(
	ctx context.Context, id string, decide func(*licensing.Group) ([]proto.Message, error),
) (out licensing.Group, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		g, err := s.lockGroup(tx, id)
		if err != nil {
			return err
		}
		events, err := decide(g)
		out = *g
		if err != nil || len(events) == 0 {
			return err
		}
		row := newGroupRow(g)
		res := tx.Table("license_groups").Where("id = ?", id).Select("*").Omit("id", "created_at").UpdateColumns(&row)
		if err := wroteOne(res, "group"); err != nil {
			return err
		}
		return s.publish(ctx, tx, id, events)
	})
	return out, db.Error(err)
}

// DeleteGroup implements group.Store. Anyone who would bring a license into the group waits for its lock.
func (s *Store) DeleteGroup(
	ctx context.Context, id string, decide func(*licensing.Group) ([]proto.Message, error),
) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		g, err := s.lockGroup(tx, id)
		if err != nil {
			return err
		}
		events, err := decide(g)
		if err != nil {
			return err
		}
		if err := tx.Exec("DELETE FROM license_groups WHERE id = ?", id).Error; err != nil {
			return err
		}
		return s.publish(ctx, tx, id, events)
	}))
}

func (s *Store) lockGroup(tx *gorm.DB, id string) (*licensing.Group, error) {
	g, err := oneGroup(s.db.Lock(tx), tx, id)
	if err == nil && g == nil {
		err = group.ErrNotFound
	}
	return g, err
}

// LicensesOf implements group.Store.
func (s *Store) LicensesOf(ctx context.Context, groupID string, limit int) (ids []string, err error) {
	err = s.db.Read(ctx).Table("licenses").Where("group_id = ?", groupID).Limit(limit).Pluck("id", &ids).Error
	return ids, db.Error(err)
}
