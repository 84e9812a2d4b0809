package api

import (
	"encoding/json"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

// licenseBody is a license as the public API shows it.
type licenseBody struct {
	LicenseID          string          `json:"license_id"`
	LicenseKey         string          `json:"license_key"`
	CustomerID         string          `json:"customer_id"`
	Product            string          `json:"product"`
	LicenseType        string          `json:"license_type"`
	MaxDevices         int32           `json:"max_devices"`
	CurrentDevices     int32           `json:"current_devices"`
	MaxOfflineHours    int32           `json:"max_offline_hours"`
	IsActive           bool            `json:"is_active"`
	IsTest             bool            `json:"is_test"`
	Features           []string        `json:"features"`
	Metadata           json.RawMessage `json:"metadata"`
	Version            int32           `json:"version"`
	CreatedAt          *time.Time      `json:"created_at"`
	UpdatedAt          *time.Time      `json:"updated_at"`
	ExpiresAt          *time.Time      `json:"expires_at"`
	DeactivatedAt      *time.Time      `json:"deactivated_at"`
	DeactivationReason *string         `json:"deactivation_reason"`
}

// newLicenseBody shows a license with its key masked.
func newLicenseBody(l *licensev1.License) licenseBody {
	return licenseBody{
		LicenseID:          l.GetLicenseId(),
		LicenseKey:         l.GetMaskedKey(),
		CustomerID:         l.GetCustomerId(),
		Product:            l.GetProduct(),
		LicenseType:        l.GetLicenseType(),
		MaxDevices:         l.GetMaxDevices(),
		CurrentDevices:     l.GetCurrentDevices(),
		MaxOfflineHours:    l.GetMaxOfflineHours(),
		IsActive:           l.GetIsActive(),
		IsTest:             l.GetIsTest(),
		Features:           notNil(l.GetFeatures()),
		Metadata:           object(l.GetMetadataJson()),
		Version:            l.GetVersion(),
		CreatedAt:          instant(l.GetCreatedAt()),
		UpdatedAt:          instant(l.GetUpdatedAt()),
		ExpiresAt:          instant(l.GetExpiresAt()),
		DeactivatedAt:      instant(l.GetDeactivatedAt()),
		DeactivationReason: text(l.GetDeactivationReason()),
	}
}

// withKey shows a license with its whole key, as only create does.
func withKey(l *licensev1.License, key string) licenseBody {
	body := newLicenseBody(l)
	body.LicenseKey = key
	return body
}

// instant is a time in UTC, or null.
func instant(t *timestamppb.Timestamp) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.AsTime()
	return &utc
}

// text is a string, or null where there is none.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// object is a JSON object as it was stored, or an empty one.
func object(raw []byte) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

// nullable is JSON as it was stored, or null.
func nullable(raw []byte) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// notNil makes an absent list an empty one on the wire.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
