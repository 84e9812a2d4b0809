package licensing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

// Limits and defaults of what an administrator may set.
const (
	MaxDevicesLimit        = 1_000_000
	DefaultMaxOfflineHours = 720
	DefaultProduct         = "default"
	DefaultType            = "standard"

	maxText          = 255
	maxFeatures      = 100
	maxFeature       = 64
	maxMetadataBytes = 64 << 10
)

// NewLicense is what an administrator says of a license to be made. Nil members take their defaults.
type NewLicense struct {
	CustomerID string
	Product    string
	// Key brings an existing key along; nil: one is made.
	Key             *string
	MaxDevices      *int
	MaxOfflineHours *int
	// ExpiresInDays and ExpiresAt nil mean perpetual; at most one is given.
	ExpiresInDays *int
	ExpiresAt     *time.Time
	Features      []string
	IsTest        bool
	Metadata      json.RawMessage
}

// Created is a license that has just been made, and its key.
type Created struct {
	License License
	Key     string
}

// Create makes a license. Errors: VALIDATION_ERROR, ErrKeyExists.
func (s *Licensing) Create(ctx context.Context, by *Actor, n NewLicense) (Created, error) {
	created, errs, err := s.CreateMany(ctx, by, []NewLicense{n})
	if err != nil {
		return Created{}, err
	}
	return created[0], errs[0]
}

// CreateMany makes the licenses that can be made: errs[i] tells why created[i] was not, and each row stands alone.
func (s *Licensing) CreateMany(ctx context.Context, by *Actor, rows []NewLicense) (made []Created, errs []error, err error) {
	now := s.Clock.Now()
	made, errs = make([]Created, len(rows)), make([]error, len(rows))
	var good []int
	var inserts []NewRow
	for i, n := range rows {
		if made[i], errs[i] = n.license(now); errs[i] != nil {
			continue
		}
		l := &made[i].License
		good = append(good, i)
		inserts = append(inserts, NewRow{License: *l, Key: made[i].Key, Events: []proto.Message{
			created(l), audit(by, "license.create", l.ID, nil, l.auditView()),
		}})
	}
	if len(inserts) == 0 {
		return made, errs, nil
	}
	refused, err := s.Store.Create(ctx, inserts)
	if err != nil {
		return nil, nil, err
	}
	for k, i := range good {
		errs[i] = refused[k]
	}
	return made, errs, nil
}

func (n *NewLicense) license(now time.Time) (Created, error) {
	l := License{
		ID: newID(), CustomerID: n.CustomerID, Product: n.Product, Type: DefaultType, MaxDevices: 1, MaxOfflineHours: DefaultMaxOfflineHours,
		IsActive: true, IsTest: n.IsTest, Features: n.Features, Metadata: n.Metadata, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if l.Product == "" {
		l.Product = DefaultProduct
	}
	if len(l.Metadata) == 0 {
		l.Metadata = json.RawMessage("{}") // not null: an answer kept as JSON must read back as it was
	}
	if n.MaxDevices != nil {
		l.MaxDevices = *n.MaxDevices
	}
	if n.MaxOfflineHours != nil {
		l.MaxOfflineHours = *n.MaxOfflineHours
	}
	problems := l.problems()
	checkEnd(problems, n.ExpiresInDays, n.ExpiresAt)
	if end := endOf(n.ExpiresInDays, n.ExpiresAt, now); end != nil {
		l.setExpiry(*end, now)
	}
	key, problem := n.key()
	if problem != "" {
		problems["license_key"] = problem
	}
	if len(problems) > 0 {
		return Created{}, apierr.InvalidFields(problems)
	}
	l.MaskedKey = MaskKey(key)
	return Created{License: l, Key: key}, nil
}

// key is the key brought along or a new one, and what is wrong with it.
func (n *NewLicense) key() (key, problem string) {
	if n.Key == nil {
		return NewKey(), ""
	}
	return trimKey(*n.Key), checkImportedKey(*n.Key)
}

// problems tells what is wrong with the members that an administrator may set, by their public names.
func (l *License) problems() map[string]string {
	p := map[string]string{}
	checkText(p, "customer_id", l.CustomerID, true)
	checkText(p, "product", l.Product, false)
	checkText(p, "deactivation_reason", l.DeactivationReason, false)
	if l.MaxDevices < 1 || l.MaxDevices > MaxDevicesLimit {
		p["max_devices"] = fmt.Sprintf("must be from 1 to %d", MaxDevicesLimit)
	}
	if l.MaxOfflineHours < 1 || l.MaxOfflineHours > claims.MaxOfflineHours {
		p["max_offline_hours"] = fmt.Sprintf("must be from 1 to %d", claims.MaxOfflineHours)
	}
	if len(l.Features) > maxFeatures {
		p["features"] = fmt.Sprintf("must have at most %d entries", maxFeatures)
	}
	for _, f := range l.Features {
		if n := utf8.RuneCountInString(f); n < 1 || n > maxFeature {
			p["features"] = fmt.Sprintf("each must have 1 to %d characters", maxFeature)
		}
	}
	if len(l.Metadata) > maxMetadataBytes {
		p["metadata"] = "must be at most 64 KiB of JSON"
	} else if m := bytes.TrimSpace(l.Metadata); len(m) > 0 && m[0] != '{' {
		p["metadata"] = "must be an object"
	}
	return p
}

// checkText notes what is wrong with an identifier or a name.
func checkText(problems map[string]string, name, value string, required bool) {
	if required && strings.TrimSpace(value) == "" {
		problems[name] = "is required"
	} else if utf8.RuneCountInString(value) > maxText {
		problems[name] = fmt.Sprintf("must have at most %d characters", maxText)
	}
}

// auditView is what the audit log shows of a license.
func (l *License) auditView() map[string]any {
	return map[string]any{
		"customer_id": l.CustomerID, "product": l.Product, "max_devices": l.MaxDevices, "max_offline_hours": l.MaxOfflineHours,
		"is_active": l.IsActive, "is_test": l.IsTest, "features": l.Features, "metadata": metadataValue(l.Metadata),
		"expires_at": timeValue(l.ExpiresAt), "deactivation_reason": l.DeactivationReason, "version": l.Version,
	}
}

// metadataValue is the metadata as it stands, to the last digit of its numbers. What is no JSON, as when there is none, shows as {}.
func metadataValue(m json.RawMessage) json.RawMessage {
	if !json.Valid(m) {
		return json.RawMessage("{}")
	}
	return m
}

func timeValue(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Patch changes the members that are not nil.
type Patch struct {
	// IfVersion refuses the change with ErrVersion unless the license has this version.
	IfVersion          *int
	CustomerID         *string
	MaxDevices         *int
	MaxOfflineHours    *int
	IsActive           *bool
	IsTest             *bool
	DeactivationReason *string
	// At most one of ExpiresAt, ExpiresInDays (from now) and Perpetual is given.
	ExpiresAt     *time.Time
	ExpiresInDays *int
	Perpetual     bool
	Features      *[]string
	Metadata      *json.RawMessage
}

// Update changes a license. A patch that changes nothing publishes nothing. Errors: VALIDATION_ERROR, which comes before the
// others, ErrNotFound, ErrVersion.
func (s *Licensing) Update(ctx context.Context, by *Actor, licenseID string, p Patch) (License, error) {
	if err := p.check(); err != nil {
		return License{}, err
	}
	var out License
	err := s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		if err := ch.patch(by, p, s.Clock.Now()); err != nil {
			return err
		}
		out = ch.License
		return nil
	})
	return out, err
}

// Delete deactivates a license; it stays, with its devices, and can be revived. Errors: those of Update.
func (s *Licensing) Delete(ctx context.Context, by *Actor, licenseID string, ifVersion *int, reason string) (License, error) {
	off := false
	p := Patch{IfVersion: ifVersion, IsActive: &off}
	if reason != "" {
		p.DeactivationReason = &reason
	}
	return s.Update(ctx, by, licenseID, p)
}

// check tells what is wrong with the members that are present, whatever license they are for: it tries them on one that is
// fine without them.
func (p *Patch) check() error {
	l := License{CustomerID: "any", MaxDevices: 1, MaxOfflineHours: 1}
	l.apply(*p, time.Time{})
	set(&l.DeactivationReason, p.DeactivationReason) // checked too where it is not taken, on an active license
	problems := l.problems()
	checkEnd(problems, p.ExpiresInDays, p.ExpiresAt)
	if p.Perpetual && p.ExpiresInDays != nil {
		problems["expires_in_days"] = onlyOneEnd
	}
	if len(problems) > 0 {
		return apierr.InvalidFields(problems)
	}
	return nil
}

// patch applies a Patch that check has passed.
func (ch *Change) patch(by *Actor, p Patch, now time.Time) error {
	before := ch.License
	if p.IfVersion != nil && *p.IfVersion != before.Version {
		return ErrVersion.With("version", before.Version)
	}
	l := &ch.License
	l.apply(p, now)
	changed := changedMembers(&before, l)
	if len(changed) == 0 {
		ch.License = before
		return nil
	}
	l.touch(now)
	if before.IsActive && !l.IsActive {
		l.DeactivatedVersion, ch.OfflineVoid = l.Version, true
	}
	ch.Emit(changeEvent(&before, l, changed))
	ch.Emit(audit(by, changeAction(&before, l), l.ID, pick(before.auditView(), changed), pick(l.auditView(), changed)))
	return nil
}

func (l *License) apply(p Patch, now time.Time) {
	set(&l.CustomerID, p.CustomerID)
	set(&l.MaxDevices, p.MaxDevices)
	set(&l.MaxOfflineHours, p.MaxOfflineHours)
	set(&l.IsTest, p.IsTest)
	set(&l.Features, p.Features)
	set(&l.Metadata, p.Metadata)
	if end := endOf(p.ExpiresInDays, p.ExpiresAt, now); end != nil {
		l.setExpiry(*end, now)
	}
	if p.Perpetual {
		l.setExpiry(time.Time{}, now)
	}
	if p.IsActive != nil && *p.IsActive != l.IsActive {
		l.IsActive = *p.IsActive
		l.DeactivatedAt, l.DeactivationReason = time.Time{}, ""
		if !l.IsActive {
			l.DeactivatedAt = now
		}
	}
	if !l.IsActive {
		set(&l.DeactivationReason, p.DeactivationReason)
	}
}

func set[T any](member *T, value *T) {
	if value != nil {
		*member = *value
	}
}

func changedMembers(a, b *License) []string {
	var changed []string
	note := func(name string, same bool) {
		if !same {
			changed = append(changed, name)
		}
	}
	note("customer_id", a.CustomerID == b.CustomerID)
	note("max_devices", a.MaxDevices == b.MaxDevices)
	note("max_offline_hours", a.MaxOfflineHours == b.MaxOfflineHours)
	note("is_active", a.IsActive == b.IsActive)
	note("is_test", a.IsTest == b.IsTest)
	note("features", slices.Equal(a.Features, b.Features))
	note("metadata", bytes.Equal(a.Metadata, b.Metadata))
	note("expires_at", a.ExpiresAt.Equal(b.ExpiresAt))
	note("deactivation_reason", a.DeactivationReason == b.DeactivationReason)
	return changed
}

func changeEvent(before, after *License, changed []string) proto.Message {
	switch {
	case before.IsActive && !after.IsActive:
		return deactivated(after)
	case !before.IsActive && after.IsActive:
		return reactivated(after)
	}
	return updated(after, changed)
}

func changeAction(before, after *License) string {
	switch {
	case before.IsActive && !after.IsActive:
		return "license.deactivate"
	case !before.IsActive && after.IsActive:
		return "license.reactivate"
	}
	return "license.update"
}

func pick(view map[string]any, members []string) map[string]any {
	out := map[string]any{}
	for _, m := range members {
		out[m] = view[m]
	}
	return out
}

// List reads one page of the licenses that f selects, newest first, and how many there are in all. A license that is found by its key
// gets an audit entry, one an hour for each administrator.
func (s *Licensing) List(ctx context.Context, by *Actor, f Filter) (page []License, total int, err error) {
	now := s.Clock.Now()
	page, total, err = s.Catalog.List(ctx, f, now)
	if err != nil || f.Key == nil {
		return page, total, err
	}
	for _, l := range page {
		found := find{by.GetId(), l.ID}
		if s.finds.in(now, found) {
			continue
		}
		err := s.Store.Change(ctx, l.ID, nil, func(ch *Change) error {
			ch.Emit(audit(by, "license.find_by_key", l.ID, nil, nil))
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
		s.finds.note(now, found)
	}
	return page, total, nil
}

// RevealKey shows the whole key again, which the audit log notes. Errors: ErrNotFound.
func (s *Licensing) RevealKey(ctx context.Context, by *Actor, licenseID string) (string, error) {
	key, err := s.Store.Key(ctx, licenseID)
	if err != nil {
		return "", err
	}
	err = s.Store.Change(ctx, licenseID, nil, func(ch *Change) error {
		ch.Emit(audit(by, "license.reveal_key", licenseID, nil, nil))
		return nil
	})
	return key, err
}
