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
	Product            string `gorm:"<-:false"`
	LicenseType        string
	MaxDevices         int
	CurrentDevices     int
	MaxOfflineHours    int
	IsActive           bool
	IsTest             bool
	Features           string
	Metadata           string
	Version            int
	StartsAt           *time.Time
	GraceHours         int
	ExpiresAt          *time.Time
	ExpiryNotice       int
	CreatedAt          time.Time
	UpdatedAt          time.Time
	DeactivatedAt      *time.Time
	DeactivationReason string
	DeactivatedVersion int
}

func newLicenseRow(l *licensing.License) licenseRow {
	return licenseRow{
		ID: l.ID, MaskedKey: l.MaskedKey, CustomerID: l.CustomerID, LicenseType: l.Type, MaxDevices: l.MaxDevices, CurrentDevices: l.CurrentDevices,
		MaxOfflineHours: l.MaxOfflineHours, IsActive: l.IsActive, IsTest: l.IsTest, Features: encodeFeatures(l.Features), Metadata: encodeMetadata(l.Metadata),
		Version: l.Version, ExpiresAt: nullable(l.ExpiresAt), ExpiryNotice: l.ExpiryNotice, CreatedAt: l.CreatedAt, UpdatedAt: l.UpdatedAt,
		DeactivatedAt: nullable(l.DeactivatedAt), DeactivationReason: l.DeactivationReason, DeactivatedVersion: l.DeactivatedVersion,
	}
}

func (r *licenseRow) license() licensing.License {
	return licensing.License{
		ID: r.ID, MaskedKey: r.MaskedKey, CustomerID: r.CustomerID, Product: r.Product, Type: r.LicenseType, MaxDevices: r.MaxDevices,
		CurrentDevices: r.CurrentDevices, MaxOfflineHours: r.MaxOfflineHours, IsActive: r.IsActive, IsTest: r.IsTest,
		Features: decodeFeatures(r.Features), Metadata: json.RawMessage(r.Metadata), Version: r.Version, ExpiresAt: value(r.ExpiresAt),
		ExpiryNotice: r.ExpiryNotice, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, DeactivatedAt: value(r.DeactivatedAt),
		DeactivationReason: r.DeactivationReason, DeactivatedVersion: r.DeactivatedVersion,
	}
}

// licenseChanges lists the columns that a change may touch.
func licenseChanges(l *licensing.License) map[string]any {
	return map[string]any{
		"customer_id": l.CustomerID, "max_devices": l.MaxDevices, "current_devices": l.CurrentDevices, "max_offline_hours": l.MaxOfflineHours,
		"is_active": l.IsActive, "is_test": l.IsTest, "features": encodeFeatures(l.Features), "metadata": encodeMetadata(l.Metadata),
		"version": l.Version, "expires_at": nullable(l.ExpiresAt), "expiry_notice": l.ExpiryNotice, "updated_at": l.UpdatedAt,
		"deactivated_at": nullable(l.DeactivatedAt), "deactivation_reason": l.DeactivationReason,
		"deactivated_version": l.DeactivatedVersion,
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
		ID: d.ID, LicenseID: d.LicenseID, HardwareID: d.HardwareID, Name: d.Name, OsName: d.OSName, OsVersion: d.OSVersion,
		AppVersion: d.AppVersion,
		IsActive:   d.IsActive, ActivatedAt: d.ActivatedAt, LastSeenAt: nullable(d.LastSeenAt), DeactivatedAt: nullable(d.DeactivatedAt),
		OfflineUntil: nullable(d.OfflineUntil), ActivatedVersion: d.ActivatedVersion,
	}
}

func (r *deviceRow) device() licensing.Device {
	d := licensing.Device{
		ID: r.ID, LicenseID: r.LicenseID, HardwareID: r.HardwareID, Profile: r.profile(),
		IsActive: r.IsActive, ActivatedAt: r.ActivatedAt, LastSeenAt: value(r.LastSeenAt), DeactivatedAt: value(r.DeactivatedAt),
		OfflineUntil: value(r.OfflineUntil), ActivatedVersion: r.ActivatedVersion,
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
		"name": d.Name, "os_name": d.OSName, "os_version": d.OSVersion, "app_version": d.AppVersion, "is_active": d.IsActive, "activated_at": d.ActivatedAt,
		"activated_version": d.ActivatedVersion,
		"deactivated_at":    nullable(d.DeactivatedAt), "offline_until": nullable(d.OfflineUntil),
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
