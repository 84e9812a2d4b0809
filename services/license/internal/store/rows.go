package store

import (
	"encoding/json"
	"time"

	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

type productRow struct {
	ID        string
	Name      string
	CreatedAt time.Time
}

// licenseRow mirrors the table licenses. Product is read from products, never written.
type licenseRow struct {
	ID                 string
	NumericID          int64 `gorm:"<-:false"`
	KeyHash            []byte
	KeySealed          []byte
	MasterKey          string
	MaskedKey          string
	CustomerID         string
	ProductID          string
	Product            string   `gorm:"<-:false"`
	Terms              termsRow `gorm:"embedded"`
	CurrentDevices     int
	IsActive           bool
	IsTest             bool
	Metadata           string
	Version            int
	ExpiryNotice       int
	CreatedAt          time.Time
	UpdatedAt          time.Time
	DeactivatedAt      *time.Time
	DeactivationReason string
	DeactivatedVersion int
}

// lastingColumns are those of a license that a change does not touch.
var lastingColumns = []string{"id", "key_hash", "key_sealed", "master_key", "masked_key", "product_id", "created_at"}

func newLicenseRow(l *licensing.License) licenseRow {
	return licenseRow{
		ID:                 l.ID,
		MaskedKey:          l.MaskedKey,
		CustomerID:         l.CustomerID,
		Terms:              newTermsRow(&l.Terms),
		CurrentDevices:     l.CurrentDevices,
		IsActive:           l.IsActive,
		IsTest:             l.IsTest,
		Metadata:           encodeMetadata(l.Metadata),
		Version:            l.Version,
		ExpiryNotice:       l.ExpiryNotice,
		CreatedAt:          l.CreatedAt,
		UpdatedAt:          l.UpdatedAt,
		DeactivatedAt:      nullable(l.DeactivatedAt),
		DeactivationReason: l.DeactivationReason,
		DeactivatedVersion: l.DeactivatedVersion,
	}
}

func (r *licenseRow) license() licensing.License {
	return licensing.License{
		ID:                 r.ID,
		MaskedKey:          r.MaskedKey,
		CustomerID:         r.CustomerID,
		Product:            r.Product,
		Terms:              r.Terms.terms(),
		CurrentDevices:     r.CurrentDevices,
		IsActive:           r.IsActive,
		IsTest:             r.IsTest,
		Metadata:           json.RawMessage(r.Metadata),
		Version:            r.Version,
		ExpiryNotice:       r.ExpiryNotice,
		CreatedAt:          r.CreatedAt,
		UpdatedAt:          r.UpdatedAt,
		DeactivatedAt:      value(r.DeactivatedAt),
		DeactivationReason: r.DeactivationReason,
		DeactivatedVersion: r.DeactivatedVersion,
	}
}

// termsRow is the columns of the terms.
type termsRow struct {
	LicenseType     string
	MaxDevices      int
	MaxOfflineHours int
	Features        string
	StartsAt        *time.Time
	ExpiresAt       *time.Time
	GraceHours      int
	// UsableUntil and PlainTerms repeat what the rules say of the other terms, for statements.
	UsableUntil *time.Time
	PlainTerms  bool
}

func newTermsRow(t *licensing.Terms) termsRow {
	return termsRow{
		LicenseType:     t.Type,
		MaxDevices:      t.MaxDevices,
		MaxOfflineHours: t.MaxOfflineHours,
		Features:        encodeFeatures(t.Features),
		StartsAt:        nullable(t.StartsAt),
		ExpiresAt:       nullable(t.ExpiresAt),
		GraceHours:      t.GraceHours,
		UsableUntil:     nullable(t.UsableUntil()),
		PlainTerms:      t.Plain(),
	}
}

func (r *termsRow) terms() licensing.Terms {
	return licensing.Terms{
		Type:            r.LicenseType,
		MaxDevices:      r.MaxDevices,
		MaxOfflineHours: r.MaxOfflineHours,
		Features:        decodeFeatures(r.Features),
		StartsAt:        value(r.StartsAt),
		ExpiresAt:       value(r.ExpiresAt),
		GraceHours:      r.GraceHours,
	}
}

// deviceRow mirrors the table devices.
type deviceRow struct {
	ID               string
	NumericID        int64 `gorm:"<-:false"`
	LicenseID        string
	HardwareID       string
	Name             string
	OsName           string
	OsVersion        string
	AppVersion       string
	SessionData      *string
	IsActive         bool
	ActivatedAt      time.Time
	ActivatedVersion int
	LastSeenAt       *time.Time
	DeactivatedAt    *time.Time
	OfflineUntil     *time.Time
}

func newDeviceRow(d *licensing.Device) deviceRow {
	return deviceRow{
		ID:               d.ID,
		LicenseID:        d.LicenseID,
		HardwareID:       d.HardwareID,
		Name:             d.Name,
		OsName:           d.OSName,
		OsVersion:        d.OSVersion,
		AppVersion:       d.AppVersion,
		IsActive:         d.IsActive,
		ActivatedAt:      d.ActivatedAt,
		ActivatedVersion: d.ActivatedVersion,
		LastSeenAt:       nullable(d.LastSeenAt),
		DeactivatedAt:    nullable(d.DeactivatedAt),
		OfflineUntil:     nullable(d.OfflineUntil),
	}
}

func (r *deviceRow) device() licensing.Device {
	d := licensing.Device{
		ID:               r.ID,
		LicenseID:        r.LicenseID,
		HardwareID:       r.HardwareID,
		Profile:          r.profile(),
		IsActive:         r.IsActive,
		ActivatedAt:      r.ActivatedAt,
		ActivatedVersion: r.ActivatedVersion,
		LastSeenAt:       value(r.LastSeenAt),
		DeactivatedAt:    value(r.DeactivatedAt),
		OfflineUntil:     value(r.OfflineUntil),
	}
	if r.SessionData != nil {
		d.SessionData = json.RawMessage(*r.SessionData)
	}
	return d
}

func (r *deviceRow) profile() licensing.Profile {
	return licensing.Profile{Name: r.Name, OSName: r.OsName, OSVersion: r.OsVersion, AppVersion: r.AppVersion}
}

// deviceChanges lists the columns that a change may touch; session_data and, but for an activation, last_seen_at are
// written by the batches of seen.go.
func deviceChanges(d *licensing.Device) map[string]any {
	changes := map[string]any{
		"name":              d.Name,
		"os_name":           d.OSName,
		"os_version":        d.OSVersion,
		"app_version":       d.AppVersion,
		"is_active":         d.IsActive,
		"activated_at":      d.ActivatedAt,
		"activated_version": d.ActivatedVersion,
		"deactivated_at":    nullable(d.DeactivatedAt),
		"offline_until":     nullable(d.OfflineUntil),
	}
	if d.LastSeenAt.Equal(d.ActivatedAt) {
		changes["last_seen_at"] = d.LastSeenAt
	}
	return changes
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
	_ = json.Unmarshal([]byte(text), &list) // written by encodeFeatures
	return list
}

func encodeMetadata(m json.RawMessage) string {
	if len(m) == 0 {
		return "{}"
	}
	return string(m)
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

func onConflictDoNothing(column string) clause.OnConflict {
	return clause.OnConflict{Columns: []clause.Column{{Name: column}}, DoNothing: true}
}
