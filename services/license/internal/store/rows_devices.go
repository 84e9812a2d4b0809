package store

import (
	"encoding/json"
	"time"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

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
	TokensUntil      *time.Time
	OfflineHorizon   *time.Time
	// OfflineHardwareID is NULL where the horizon is that of HardwareID.
	OfflineHardwareID *string
	FirstActivatedAt  *time.Time
	Label             string
	Variables         *string
	EnrollmentKeyID   *string
	PublicKey         []byte
	UserID            *string
}

func newDeviceRow(d *licensing.Device) deviceRow {
	return deviceRow{
		ID:                d.ID,
		LicenseID:         d.LicenseID,
		HardwareID:        d.HardwareID,
		Name:              d.Name,
		OsName:            d.OSName,
		OsVersion:         d.OSVersion,
		AppVersion:        d.AppVersion,
		IsActive:          d.IsActive,
		ActivatedAt:       d.ActivatedAt,
		ActivatedVersion:  d.ActivatedVersion,
		LastSeenAt:        nullable(d.LastSeenAt),
		DeactivatedAt:     nullable(d.DeactivatedAt),
		OfflineUntil:      nullable(d.OfflineUntil),
		TokensUntil:       nullable(d.TokensUntil),
		OfflineHorizon:    nullable(d.OfflineHorizon),
		OfflineHardwareID: textOrNull(d.OfflineHardwareID),
		FirstActivatedAt:  nullable(d.FirstActivatedAt),
		Label:             d.Label,
		Variables:         encodeVariables(d.Variables),
		EnrollmentKeyID:   textOrNull(d.EnrollmentKeyID),
		PublicKey:         d.PublicKey,
		UserID:            textOrNull(d.UserID),
	}
}

func (r *deviceRow) device() licensing.Device {
	d := licensing.Device{
		ID:                r.ID,
		LicenseID:         r.LicenseID,
		HardwareID:        r.HardwareID,
		Profile:           r.profile(),
		IsActive:          r.IsActive,
		ActivatedAt:       r.ActivatedAt,
		ActivatedVersion:  r.ActivatedVersion,
		LastSeenAt:        value(r.LastSeenAt),
		DeactivatedAt:     value(r.DeactivatedAt),
		OfflineUntil:      value(r.OfflineUntil),
		TokensUntil:       value(r.TokensUntil),
		OfflineHorizon:    value(r.OfflineHorizon),
		OfflineHardwareID: textOrNone(r.OfflineHardwareID),
		FirstActivatedAt:  value(r.FirstActivatedAt),
		Label:             r.Label,
		Variables:         decodeVariables(r.Variables),
		EnrollmentKeyID:   textOrNone(r.EnrollmentKeyID),
		PublicKey:         r.PublicKey,
		UserID:            textOrNone(r.UserID),
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
// written by the batches of seen.go, and what else they write is left to them where it did not change.
func deviceChanges(before, d *licensing.Device) map[string]any {
	changes := map[string]any{
		"is_active":           d.IsActive,
		"activated_at":        d.ActivatedAt,
		"activated_version":   d.ActivatedVersion,
		"deactivated_at":      nullable(d.DeactivatedAt),
		"offline_until":       nullable(d.OfflineUntil),
		"tokens_until":        nullable(d.TokensUntil),
		"offline_horizon":     nullable(d.OfflineHorizon),
		"offline_hardware_id": textOrNull(d.OfflineHardwareID),
		"hardware_id":         d.HardwareID,
		"label":               d.Label,
		"variables":           encodeVariables(d.Variables),
		"enrollment_key_id":   textOrNull(d.EnrollmentKeyID),
		"public_key":          d.PublicKey,
		"user_id":             textOrNull(d.UserID),
	}
	if before.Profile != d.Profile {
		changes["name"], changes["os_name"], changes["os_version"], changes["app_version"] =
			d.Name, d.OSName, d.OSVersion, d.AppVersion
	}
	if d.LastSeenAt.Equal(d.ActivatedAt) {
		changes["last_seen_at"] = d.LastSeenAt
	}
	return changes
}

// encodeVariables is the column of a device's variables: NULL for none.
func encodeVariables(variables map[string]string) *string {
	if len(variables) == 0 {
		return nil
	}
	return encodeTerms(&variables)
}

func decodeVariables(text *string) (variables map[string]string) {
	if text != nil {
		_ = json.Unmarshal([]byte(*text), &variables) // written by encodeVariables
	}
	return variables
}

// idleMinutes is NULL for a license whose seats are not freed by themselves.
func idleMinutes(t *licensing.Terms) *int {
	if t.Devices == nil || t.Devices.IdleMinutes == 0 {
		return nil
	}
	return &t.Devices.IdleMinutes
}
