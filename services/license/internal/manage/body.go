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
	LicenseID  string  `json:"license_id"`
	LicenseKey string  `json:"license_key"`
	CustomerID string  `json:"customer_id"`
	Product    string  `json:"product"`
	Policy     *string `json:"policy"`
	GroupID    *string `json:"group_id"`
	termsBody
	CurrentDevices     int              `json:"current_devices"`
	Status             licensing.Status `json:"status"`
	IsActive           bool             `json:"is_active"`
	IsTest             bool             `json:"is_test"`
	Metadata           json.RawMessage  `json:"metadata"`
	Version            int              `json:"version"`
	CreatedAt          time.Time        `json:"created_at"`
	UpdatedAt          time.Time        `json:"updated_at"`
	StartedAt          *time.Time       `json:"started_at"`
	SuspendedAt        *time.Time       `json:"suspended_at"`
	SuspendedUntil     *time.Time       `json:"suspended_until"`
	TransfersUsed      int              `json:"transfers_used"`
	SuspensionReason   *string          `json:"suspension_reason"`
	DeactivatedAt      *time.Time       `json:"deactivated_at"`
	DeactivationReason *string          `json:"deactivation_reason"`
}

// newLicenseBody shows a license with its key masked, and its status as of now.
func newLicenseBody(l *licensing.License, now time.Time) licenseBody {
	body := licenseBody{
		LicenseID:          l.ID,
		LicenseKey:         l.MaskedKey,
		CustomerID:         l.CustomerID,
		Product:            l.Product,
		Policy:             httpx.TextOrNull(l.Policy),
		GroupID:            httpx.TextOrNull(l.GroupID),
		termsBody:          newTermsBody(&l.Terms, now),
		CurrentDevices:     l.CurrentDevices,
		Status:             l.Status(now),
		IsActive:           l.IsActive,
		IsTest:             l.IsTest,
		Metadata:           object(l.Metadata),
		Version:            l.Version,
		CreatedAt:          l.CreatedAt.UTC(),
		UpdatedAt:          l.UpdatedAt.UTC(),
		StartedAt:          httpx.TimeOrNull(l.StartedAt),
		TransfersUsed:      l.TransfersUsed,
		DeactivatedAt:      httpx.TimeOrNull(l.LastDeactivation().At),
		DeactivationReason: httpx.TextOrNull(l.LastDeactivation().Reason),
	}
	if s := l.Suspension; s != nil {
		body.SuspendedAt, body.SuspendedUntil = httpx.TimeOrNull(s.At), httpx.TimeOrNull(s.Until)
		body.SuspensionReason = httpx.TextOrNull(s.Reason)
	}
	return body
}

// newCreatedBody shows a license with its whole key, as only its creation does.
func newCreatedBody(made *licensing.Created, now time.Time) licenseBody {
	body := newLicenseBody(&made.License, now)
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
	CustomerID string  `json:"customer_id" text:"identifier"`
	Product    string  `json:"product" text:"identifier" empty:"no"`
	Policy     string  `json:"policy" text:"identifier" empty:"no"`
	GroupID    string  `json:"group_id" text:"identifier" empty:"no"`
	LicenseKey *string `json:"license_key" text:"key"`
	newTerms
	IsTest   bool            `json:"is_test"`
	Metadata jsonbody.Object `json:"metadata"`
}

func (n newLicense) wanted() licensing.NewLicense {
	return licensing.NewLicense{
		CustomerID:  n.CustomerID,
		Product:     n.Product,
		Policy:      n.Policy,
		GroupID:     canonicalID(n.GroupID),
		Key:         n.LicenseKey,
		TermsChange: n.newTerms.change(),
		IsTest:      n.IsTest,
		Metadata:    json.RawMessage(n.Metadata),
	}
}

// Unsettable implements jsonbody.Unsettable.
func (newLicense) Unsettable() map[string]string {
	return map[string]string{
		"license_id":          "it is made",
		"status":              "",
		"started_at":          "",
		"suspended_at":        "suspend the license once it is made",
		"suspended_until":     "suspend the license once it is made",
		"suspension_reason":   "suspend the license once it is made",
		"current_devices":     "devices take seats when they are activated",
		"is_active":           "a license is made active; change it afterwards by PATCH or DELETE",
		"version":             "",
		"created_at":          "",
		"updated_at":          "",
		"transfers_used":      "devices use transfers up when they follow others",
		"deactivated_at":      "",
		"deactivation_reason": "a license is made active; change it afterwards by PATCH or DELETE",
	}
}

// licenseChange is what PATCH takes: only the members that are present change.
type licenseChange struct {
	CustomerID jsonbody.Optional[string] `json:"customer_id" text:"identifier"`
	GroupID    jsonbody.Optional[string] `json:"group_id" text:"identifier" null:"ok"`
	changedTerms
	IsActive           jsonbody.Optional[bool]            `json:"is_active"`
	IsTest             jsonbody.Optional[bool]            `json:"is_test"`
	Metadata           jsonbody.Optional[jsonbody.Object] `json:"metadata"`
	DeactivationReason jsonbody.Optional[string]          `json:"deactivation_reason" null:"ok"`
}

// Unsettable implements jsonbody.Unsettable.
func (licenseChange) Unsettable() map[string]string {
	const fixed = "it cannot change; make another license"
	return map[string]string{
		"license_id":        fixed,
		"license_key":       fixed,
		"product":           fixed,
		"policy":            "use /change-policy",
		"statistics":        "",
		"status":            "",
		"started_at":        "",
		"suspended_at":      "use /suspend and /reinstate",
		"suspended_until":   "use /suspend and /reinstate",
		"suspension_reason": "use /suspend and /reinstate",
		"current_devices":   "devices take and leave seats when they are activated and deactivated",
		"version":           "send the ETag in If-Match",
		"created_at":        "",
		"updated_at":        "",
		"transfers_used":    "use /reset-transfers",
		"deactivated_at":    "set is_active",
	}
}

func (l licenseChange) patch() licensing.Patch {
	l.GroupID.Value = canonicalID(l.GroupID.Value)
	return licensing.Patch{
		CustomerID:         l.CustomerID.Pointer(),
		GroupID:            licensing.Optional[string](l.GroupID),
		TermsChange:        l.changedTerms.change(),
		IsActive:           l.IsActive.Pointer(),
		IsTest:             l.IsTest.Pointer(),
		DeactivationReason: l.DeactivationReason.Pointer(),
		Metadata:           (*json.RawMessage)(l.Metadata.Pointer()),
	}
}
