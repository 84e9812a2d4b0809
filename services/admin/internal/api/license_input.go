package api

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
)

// newLicense is a license to create, as the public API takes it.
type newLicense struct {
	CustomerID      string       `json:"customer_id" text:"identifier"`
	Product         string       `json:"product" text:"identifier"`
	LicenseKey      *string      `json:"license_key" text:"identifier"`
	MaxDevices      *int32       `json:"max_devices"`
	MaxOfflineHours *int32       `json:"max_offline_hours"`
	ExpiresInDays   *int32       `json:"expires_in_days"`
	ExpiresAt       *time.Time   `json:"expires_at" time:"end"`
	Features        []string     `json:"features" text:"identifier"`
	IsTest          bool         `json:"is_test"`
	Metadata        httpx.Object `json:"metadata"`
}

func (n newLicense) message() *licensev1.NewLicense {
	m := &licensev1.NewLicense{
		CustomerId:      n.CustomerID,
		Product:         n.Product,
		LicenseKey:      n.LicenseKey,
		MaxDevices:      n.MaxDevices,
		MaxOfflineHours: n.MaxOfflineHours,
		ExpiresInDays:   n.ExpiresInDays,
		Features:        n.Features,
		IsTest:          n.IsTest,
		MetadataJson:    n.Metadata,
	}
	if n.ExpiresAt != nil {
		m.ExpiresAt = timestamppb.New(*n.ExpiresAt)
	}
	return m
}

// Unsettable implements httpx.Unsettable.
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
	CustomerID         httpx.Optional[string]       `json:"customer_id" text:"identifier"`
	MaxDevices         httpx.Optional[int32]        `json:"max_devices"`
	MaxOfflineHours    httpx.Optional[int32]        `json:"max_offline_hours"`
	IsActive           httpx.Optional[bool]         `json:"is_active"`
	IsTest             httpx.Optional[bool]         `json:"is_test"`
	ExpiresAt          httpx.Optional[time.Time]    `json:"expires_at" null:"ok" time:"end"`
	ExpiresInDays      *int32                       `json:"expires_in_days"`
	Features           httpx.Optional[[]string]     `json:"features" text:"identifier"`
	Metadata           httpx.Optional[httpx.Object] `json:"metadata"`
	DeactivationReason httpx.Optional[string]       `json:"deactivation_reason"`
}

// Unsettable implements httpx.Unsettable.
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

func (l licenseChange) message() *licensev1.UpdateLicenseRequest {
	req := &licensev1.UpdateLicenseRequest{
		CustomerId:         present(l.CustomerID),
		MaxDevices:         present(l.MaxDevices),
		MaxOfflineHours:    present(l.MaxOfflineHours),
		IsActive:           present(l.IsActive),
		IsTest:             present(l.IsTest),
		Perpetual:          l.ExpiresAt.Null,
		ExpiresInDays:      l.ExpiresInDays,
		DeactivationReason: present(l.DeactivationReason),
	}
	if l.ExpiresAt.Present && !l.ExpiresAt.Null {
		req.ExpiresAt = timestamppb.New(l.ExpiresAt.Value)
	}
	if l.Features.Present {
		req.Features = &licensev1.StringList{Values: l.Features.Value}
	}
	if l.Metadata.Present {
		req.MetadataJson = l.Metadata.Value
	}
	return req
}

// present is the value of a member that was sent, and nil otherwise.
func present[T any](o httpx.Optional[T]) *T {
	if !o.Present {
		return nil
	}
	return &o.Value
}
