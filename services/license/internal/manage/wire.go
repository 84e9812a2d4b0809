package manage

import (
	"encoding/json"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// licenseBody is a license as the public API shows it.
type licenseBody struct {
	LicenseID          string          `json:"license_id"`
	LicenseKey         string          `json:"license_key"`
	CustomerID         string          `json:"customer_id"`
	Product            string          `json:"product"`
	LicenseType        string          `json:"license_type"`
	MaxDevices         int             `json:"max_devices"`
	CurrentDevices     int             `json:"current_devices"`
	MaxOfflineHours    int             `json:"max_offline_hours"`
	IsActive           bool            `json:"is_active"`
	IsTest             bool            `json:"is_test"`
	Features           []string        `json:"features"`
	Metadata           json.RawMessage `json:"metadata"`
	Version            int             `json:"version"`
	CreatedAt          time.Time       `json:"created_at"`
	UpdatedAt          time.Time       `json:"updated_at"`
	ExpiresAt          *time.Time      `json:"expires_at"`
	DeactivatedAt      *time.Time      `json:"deactivated_at"`
	DeactivationReason *string         `json:"deactivation_reason"`
}

// newLicenseBody shows a license with its key masked.
func newLicenseBody(l *licensing.License) licenseBody {
	return licenseBody{
		LicenseID:          l.ID,
		LicenseKey:         l.MaskedKey,
		CustomerID:         l.CustomerID,
		Product:            l.Product,
		LicenseType:        l.Type,
		MaxDevices:         l.MaxDevices,
		CurrentDevices:     l.CurrentDevices,
		MaxOfflineHours:    l.MaxOfflineHours,
		IsActive:           l.IsActive,
		IsTest:             l.IsTest,
		Features:           append([]string{}, l.Features...), // never null
		Metadata:           object(l.Metadata),
		Version:            l.Version,
		CreatedAt:          l.CreatedAt.UTC(),
		UpdatedAt:          l.UpdatedAt.UTC(),
		ExpiresAt:          httpx.TimeOrNull(l.ExpiresAt),
		DeactivatedAt:      httpx.TimeOrNull(l.DeactivatedAt),
		DeactivationReason: httpx.TextOrNull(l.DeactivationReason),
	}
}

// newCreatedBody shows a license with its whole key, as only its creation does.
func newCreatedBody(made *licensing.Created) licenseBody {
	body := newLicenseBody(&made.License)
	body.LicenseKey = made.Key
	return body
}

// object is a JSON object as it was stored, or an empty one.
func object(raw []byte) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

// newLicense is a license to create.
type newLicense struct {
	CustomerID      string          `json:"customer_id" text:"identifier"`
	Product         string          `json:"product" text:"identifier"`
	LicenseKey      *string         `json:"license_key" text:"identifier"`
	MaxDevices      *int            `json:"max_devices"`
	MaxOfflineHours *int            `json:"max_offline_hours"`
	ExpiresInDays   *int            `json:"expires_in_days"`
	ExpiresAt       *time.Time      `json:"expires_at" time:"end"`
	Features        []string        `json:"features" text:"identifier"`
	IsTest          bool            `json:"is_test"`
	Metadata        jsonbody.Object `json:"metadata"`
}

func (n newLicense) wanted() licensing.NewLicense {
	return licensing.NewLicense{
		CustomerID:      n.CustomerID,
		Product:         n.Product,
		Key:             n.LicenseKey,
		MaxDevices:      n.MaxDevices,
		MaxOfflineHours: n.MaxOfflineHours,
		ExpiresInDays:   n.ExpiresInDays,
		ExpiresAt:       n.ExpiresAt,
		Features:        n.Features,
		IsTest:          n.IsTest,
		Metadata:        json.RawMessage(n.Metadata),
	}
}

// Unsettable implements jsonbody.Unsettable.
func (newLicense) Unsettable() map[string]string {
	return map[string]string{
		"license_id":          "it is made",
		"license_type":        "",
		"current_devices":     "devices take seats when they are activated",
		"is_active":           "a license is made active; change it afterwards by PATCH or DELETE",
		"version":             "",
		"created_at":          "",
		"updated_at":          "",
		"deactivated_at":      "",
		"deactivation_reason": "a license is made active; change it afterwards by PATCH or DELETE",
	}
}

// licenseChange is what PATCH takes: only the members that are present change.
type licenseChange struct {
	CustomerID         jsonbody.Optional[string]          `json:"customer_id" text:"identifier"`
	MaxDevices         jsonbody.Optional[int]             `json:"max_devices"`
	MaxOfflineHours    jsonbody.Optional[int]             `json:"max_offline_hours"`
	IsActive           jsonbody.Optional[bool]            `json:"is_active"`
	IsTest             jsonbody.Optional[bool]            `json:"is_test"`
	ExpiresAt          jsonbody.Optional[time.Time]       `json:"expires_at" null:"ok" time:"end"`
	ExpiresInDays      *int                               `json:"expires_in_days"`
	Features           jsonbody.Optional[[]string]        `json:"features" text:"identifier"`
	Metadata           jsonbody.Optional[jsonbody.Object] `json:"metadata"`
	DeactivationReason jsonbody.Optional[string]          `json:"deactivation_reason"`
}

// Unsettable implements jsonbody.Unsettable.
func (licenseChange) Unsettable() map[string]string {
	const fixed = "it cannot change; make another license"
	return map[string]string{
		"license_id":      fixed,
		"license_key":     fixed,
		"product":         fixed,
		"license_type":    "",
		"current_devices": "devices take and leave seats when they are activated and deactivated",
		"version":         "send the ETag in If-Match",
		"created_at":      "",
		"updated_at":      "",
		"deactivated_at":  "set is_active",
	}
}

func (l licenseChange) patch() licensing.Patch {
	p := licensing.Patch{
		CustomerID:         l.CustomerID.Pointer(),
		MaxDevices:         l.MaxDevices.Pointer(),
		MaxOfflineHours:    l.MaxOfflineHours.Pointer(),
		IsActive:           l.IsActive.Pointer(),
		IsTest:             l.IsTest.Pointer(),
		Perpetual:          l.ExpiresAt.Null,
		ExpiresInDays:      l.ExpiresInDays,
		Features:           l.Features.Pointer(),
		Metadata:           (*json.RawMessage)(l.Metadata.Pointer()),
		DeactivationReason: l.DeactivationReason.Pointer(),
	}
	if !l.ExpiresAt.Null {
		p.ExpiresAt = l.ExpiresAt.Pointer()
	}
	return p
}
