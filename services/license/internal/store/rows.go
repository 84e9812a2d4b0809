package store

import (
	"cmp"
	"encoding/json"
	"time"

	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// licenseRow mirrors the table licenses. Product is read from products, never written.
type licenseRow struct {
	ID         string
	NumericID  int64 `gorm:"<-:false"`
	KeyHash    []byte
	KeySealed  []byte
	MasterKey  string
	MaskedKey  string
	CustomerID string
	ProductID  string
	Product    string `gorm:"<-:false"`
	// What the product demands is read from there, too.
	ProductIsActive   bool   `gorm:"<-:false"`
	ProductMinVersion string `gorm:"<-:false"`
	ProductMethod     string `gorm:"<-:false"`
	Policy            *string
	GroupID           *string
	Terms             termsRow `gorm:"embedded"`
	// UsableUntil, PlainTerms and NeedsChecks repeat what the rules say of the license, for statements. PlainTerms is
	// for those of an older program, which overwrites it by what it knows of terms.
	UsableUntil        *time.Time
	PlainTerms         bool
	NeedsChecks        bool
	DeviceIdleMinutes  *int // repeats the term for statements
	TransfersUsed      int
	FreedSeats         int
	CurrentDevices     int
	IsActive           bool
	IsTest             bool
	Metadata           string
	Version            int
	ExpiryNotice       int16
	EndDay             int8
	CreatedAt          time.Time
	UpdatedAt          time.Time
	StartedAt          *time.Time
	SuspendedAt        *time.Time
	SuspendedUntil     *time.Time
	SuspensionReason   string
	Announced          string
	DeactivatedAt      *time.Time
	DeactivationReason string
	DeactivatedVersion int
}

// lastingColumns are those of a license that a change does not touch.
var lastingColumns = []string{"id", "key_hash", "key_sealed", "master_key", "masked_key", "product_id", "created_at"}

func newLicenseRow(l *licensing.License) licenseRow {
	row := licenseRow{
		ID:                l.ID,
		MaskedKey:         l.MaskedKey,
		CustomerID:        l.CustomerID,
		Policy:            textOrNull(l.Policy),
		GroupID:           textOrNull(l.GroupID),
		Terms:             newTermsRow(&l.Terms),
		UsableUntil:       nullable(l.UsableUntil()),
		PlainTerms:        l.Plain(),
		NeedsChecks:       !l.Plain(),
		DeviceIdleMinutes: idleMinutes(&l.Terms),
		TransfersUsed:     l.TransfersUsed,
		FreedSeats:        l.FreedSeats,
		CurrentDevices:    l.CurrentDevices,
		IsActive:          l.IsActive,
		IsTest:            l.IsTest,
		Metadata:          encodeMetadata(l.Metadata),
		Version:           l.Version,
		ExpiryNotice:      l.ExpiryNotice,
		EndDay:            l.EndDay,
		CreatedAt:         l.CreatedAt,
		UpdatedAt:         l.UpdatedAt,
		StartedAt:         nullable(l.StartedAt),
		Announced:         string(l.Announced),
	}
	if d := l.Deactivation; d != nil {
		row.DeactivatedAt, row.DeactivationReason, row.DeactivatedVersion = nullable(d.At), d.Reason, d.Version
	}
	if s := l.Suspension; s != nil {
		row.SuspendedAt, row.SuspendedUntil, row.SuspensionReason = &s.At, nullable(s.Until), s.Reason
	}
	return row
}

func (r *licenseRow) license() licensing.License {
	return licensing.License{
		ID:             r.ID,
		MaskedKey:      r.MaskedKey,
		CustomerID:     r.CustomerID,
		Product:        r.Product,
		ProductRules:   r.productRules(),
		Policy:         textOrNone(r.Policy),
		GroupID:        textOrNone(r.GroupID),
		Terms:          r.Terms.terms(),
		TransfersUsed:  r.TransfersUsed,
		FreedSeats:     r.FreedSeats,
		CurrentDevices: r.CurrentDevices,
		IsActive:       r.IsActive,
		IsTest:         r.IsTest,
		Metadata:       decodeMetadata(r.Metadata),
		Version:        r.Version,
		ExpiryNotice:   r.ExpiryNotice,
		EndDay:         r.EndDay,
		CreatedAt:      r.CreatedAt,
		UpdatedAt:      r.UpdatedAt,
		StartedAt:      value(r.StartedAt),
		Suspension:     r.suspension(),
		Announced:      licensing.Status(r.Announced),
		Deactivation:   r.deactivation(),
	}
}

func (r *licenseRow) deactivation() *licensing.LicenseDeactivation {
	if r.DeactivatedVersion == 0 && r.DeactivatedAt == nil {
		return nil
	}
	return &licensing.LicenseDeactivation{
		At: value(r.DeactivatedAt), Reason: r.DeactivationReason, Version: r.DeactivatedVersion,
	}
}

func (r *licenseRow) suspension() *licensing.Suspension {
	if r.SuspendedAt == nil {
		return nil
	}
	return &licensing.Suspension{At: value(r.SuspendedAt), Until: value(r.SuspendedUntil), Reason: r.SuspensionReason}
}

// unnamedType stands for the type of a license whose vendor named none. It is what an older program calls every
// license.
const unnamedType = "standard"

// productRules are nil for a product that demands nothing, so that most licenses do without.
func (r *licenseRow) productRules() *licensing.ProductRules {
	byUser := r.ProductMethod == catalog.ByUser
	if r.ProductIsActive && r.ProductMinVersion == "" && !byUser {
		return nil
	}
	return &licensing.ProductRules{Inactive: !r.ProductIsActive, MinVersion: r.ProductMinVersion, ByUser: byUser}
}

// termsRow is the columns of the terms.
type termsRow struct {
	LicenseType       string
	IsTrial           bool
	MaxDevices        int
	MaxOfflineHours   int
	OfflineActivation bool
	Features          string
	Entitlements      []licensing.Entitlement  `gorm:"serializer:json"`
	Counters          []licensing.CounterTerms `gorm:"serializer:json"`
	DurationDays      int
	DurationMonths    int
	FirstActivation   bool
	Timezone          string
	StartsAt          *time.Time
	ExpiresAt         *time.Time
	GraceHours        int
	MaintenanceUntil  *time.Time
	DeviceRules       *string
	// Floating is JSON.
	Floating *string
}

func newTermsRow(t *licensing.Terms) termsRow {
	return termsRow{
		LicenseType:       cmp.Or(t.Type, unnamedType),
		IsTrial:           t.IsTrial,
		MaxDevices:        t.MaxDevices,
		MaxOfflineHours:   t.MaxOfflineHours,
		OfflineActivation: t.OfflineActivation,
		Features:          encodeFeatures(t.Features),
		Entitlements:      t.Entitlements,
		Counters:          t.Counters,
		DurationDays:      t.DurationDays,
		DurationMonths:    t.DurationMonths,
		FirstActivation:   t.FirstActivation,
		Timezone:          t.Timezone,
		StartsAt:          nullable(t.StartsAt),
		ExpiresAt:         nullable(t.ExpiresAt),
		GraceHours:        t.GraceHours,
		MaintenanceUntil:  nullable(t.MaintenanceUntil),
		DeviceRules:       encodeTerms(t.Devices),
		Floating:          encodeTerms(t.Floating),
	}
}

func (r *termsRow) terms() licensing.Terms {
	t := licensing.Terms{
		Type:              r.LicenseType,
		IsTrial:           r.IsTrial,
		MaxDevices:        r.MaxDevices,
		MaxOfflineHours:   r.MaxOfflineHours,
		OfflineActivation: r.OfflineActivation,
		Features:          decodeFeatures(r.Features),
		Entitlements:      r.Entitlements,
		Counters:          r.Counters,
		DurationDays:      r.DurationDays,
		DurationMonths:    r.DurationMonths,
		FirstActivation:   r.FirstActivation,
		Timezone:          r.Timezone,
		StartsAt:          value(r.StartsAt),
		ExpiresAt:         value(r.ExpiresAt),
		GraceHours:        r.GraceHours,
		MaintenanceUntil:  value(r.MaintenanceUntil),
		Devices:           decodeTerms[licensing.DeviceTerms](r.DeviceRules),
		Floating:          decodeTerms[licensing.FloatingTerms](r.Floating),
	}
	if t.Type == unnamedType {
		t.Type = ""
	}
	return t
}

func encodeFeatures(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(list) // strings always marshal
	return string(b)
}

func decodeFeatures(text string) []string {
	list := []string{}
	if text != "[]" {
		_ = json.Unmarshal([]byte(text), &list) // written by encodeFeatures
	}
	return list
}

// encodeTerms is the column of structured terms: NULL for none.
func encodeTerms[T any](terms *T) *string {
	if terms == nil {
		return nil
	}
	b, _ := json.Marshal(terms) // texts and numbers always marshal
	text := string(b)
	return &text
}

func decodeTerms[T any](text *string) *T {
	if text == nil {
		return nil
	}
	terms := new(T)
	_ = json.Unmarshal([]byte(*text), terms) // written by encodeTerms
	return terms
}

// noMetadata is that of most licenses, which share it in memory.
var noMetadata = json.RawMessage("{}")

func encodeMetadata(m json.RawMessage) string {
	if len(m) == 0 {
		return string(noMetadata)
	}
	return string(m)
}

func decodeMetadata(text string) json.RawMessage {
	if text == string(noMetadata) {
		return noMetadata
	}
	return json.RawMessage(text)
}

func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func value(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func textOrNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func textOrNone(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func onConflictDoNothing(column string) clause.OnConflict {
	return clause.OnConflict{Columns: []clause.Column{{Name: column}}, DoNothing: true}
}
