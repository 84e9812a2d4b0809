package licensing

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// timestamp is event.Timestamp, which nearly all events here need.
var timestamp = event.Timestamp

// maxEventText is how many characters of a text that a client chose an event carries: events are kept for long, and
// everyone who has a seat makes them. The row of the device keeps the whole text.
const maxEventText = 64

// CutText is what an event carries of a text that a client chose.
func CutText(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxEventText {
			return s[:i]
		}
	}
	return s
}

// texts are what a client says of itself, as events carry it.
type texts struct{ deviceName, os, appVersion, sessionID string }

func (c *Client) texts() texts {
	return texts{
		deviceName: CutText(c.DeviceName),
		os:         CutText(c.OS()),
		appVersion: CutText(c.AppVersion),
		sessionID:  CutText(c.SessionID),
	}
}

func activated(l *License, d *Device, c Client, returning bool) *eventsv1.LicenseActivated {
	said := c.texts()
	return &eventsv1.LicenseActivated{
		LicenseId:      l.ID,
		DeviceId:       d.ID,
		HardwareId:     d.HardwareID,
		DeviceName:     CutText(d.Name),
		Os:             said.os,
		AppVersion:     said.appVersion,
		SessionId:      said.sessionID,
		Ip:             c.IP,
		ViaProxy:       c.ViaProxy,
		ClientTime:     timestamp(c.Time),
		Returning:      returning,
		CurrentDevices: int32(l.CurrentDevices),
		MaxDevices:     int32(l.MaxDevices),
		Version:        int32(l.Version),
	}
}

func deviceDeactivated(x *Deactivation, by string, from Client, reason string) *eventsv1.DeviceDeactivated {
	return &eventsv1.DeviceDeactivated{
		LicenseId:      x.License.ID,
		DeviceId:       x.Device.ID,
		HardwareId:     x.Device.HardwareID,
		DeviceName:     CutText(x.Device.Name),
		Reason:         CutText(reason),
		By:             by,
		Ip:             from.IP,
		ViaProxy:       from.ViaProxy,
		CurrentDevices: int32(x.License.CurrentDevices),
		MaxDevices:     int32(x.License.MaxDevices),
		Version:        int32(x.License.Version),
	}
}

// Snapshot is the state of a license as events carry it. A term that other services need is added here.
func Snapshot(l *License, now time.Time) *eventsv1.License {
	snap := &eventsv1.License{
		LicenseId:      l.ID,
		CustomerId:     l.CustomerID,
		Product:        l.Product,
		IsTest:         l.IsTest,
		IsActive:       l.IsActive,
		Status:         string(l.Status(now)),
		CurrentDevices: int32(l.CurrentDevices),
		Version:        int32(l.Version),
		CreatedAt:      timestamp(l.CreatedAt),
		StartedAt:      timestamp(l.StartedAt),
		TransfersUsed:  int32(l.TransfersUsed),
		Policy:         l.Policy,
		GroupId:        l.GroupID,
		Terms:          termsSnapshot(&l.Terms, now),
	}
	if s := l.Suspension; s != nil {
		snap.SuspendedAt, snap.SuspendedUntil, snap.SuspensionReason = timestamp(s.At), timestamp(s.Until), s.Reason
	}
	return snap
}

// termsSnapshot is the terms as events carry them.
func termsSnapshot(t *Terms, now time.Time) *eventsv1.Terms {
	return &eventsv1.Terms{
		LicenseType:       t.LicenseType(),
		MaxDevices:        int32(t.MaxDevices),
		MaxOfflineHours:   int32(t.MaxOfflineHours),
		Features:          t.UsableFeatures(now),
		StartsAt:          timestamp(t.StartsAt),
		ExpiresAt:         timestamp(t.ExpiresAt),
		GraceHours:        int32(t.GraceHours),
		IsTrial:           t.IsTrial,
		OfflineActivation: t.OfflineActivation,
		DurationDays:      int32(t.DurationDays),
		DurationMonths:    int32(t.DurationMonths),
		Starts:            t.Starts(),
		Timezone:          t.Timezone,
		MaintenanceUntil:  timestamp(t.MaintenanceUntil),
		Devices:           t.Devices.event(),
		Floating:          t.Floating.event(),
		Entitlements:      entitlementsOf(t),
		Counters:          countersOf(t),
	}
}

func created(l *License, now time.Time) *eventsv1.LicenseCreated {
	return &eventsv1.LicenseCreated{
		LicenseId:   l.ID,
		CustomerId:  l.CustomerID,
		Product:     l.Product,
		LicenseType: l.LicenseType(),
		MaxDevices:  int32(l.MaxDevices),
		IsTest:      l.IsTest,
		Features:    l.UsableFeatures(now),
		CreatedAt:   timestamp(l.CreatedAt),
		ExpiresAt:   timestamp(l.ExpiresAt),
		Version:     int32(l.Version),
		IsActive:    l.IsActive,
		License:     Snapshot(l, now),
	}
}

func updated(l *License, changed []string, now time.Time) *eventsv1.LicenseUpdated {
	return &eventsv1.LicenseUpdated{
		LicenseId:   l.ID,
		CustomerId:  l.CustomerID,
		Product:     l.Product,
		LicenseType: l.LicenseType(),
		MaxDevices:  int32(l.MaxDevices),
		IsTest:      l.IsTest,
		Features:    l.UsableFeatures(now),
		ExpiresAt:   timestamp(l.ExpiresAt),
		Version:     int32(l.Version),
		IsActive:    l.IsActive,
		Changed:     changed,
		License:     Snapshot(l, now),
	}
}

func deactivated(l *License, now time.Time) *eventsv1.LicenseDeactivated {
	return &eventsv1.LicenseDeactivated{
		LicenseId:     l.ID,
		Reason:        l.LastDeactivation().Reason,
		Version:       int32(l.Version),
		DeactivatedAt: timestamp(l.LastDeactivation().At),
		CustomerId:    l.CustomerID,
		Product:       l.Product,
		LicenseType:   l.LicenseType(),
		MaxDevices:    int32(l.MaxDevices),
		IsTest:        l.IsTest,
		Features:      l.UsableFeatures(now),
		ExpiresAt:     timestamp(l.ExpiresAt),
		License:       Snapshot(l, now),
	}
}

func reactivated(l *License, now time.Time) *eventsv1.LicenseReactivated {
	return &eventsv1.LicenseReactivated{
		LicenseId:   l.ID,
		CustomerId:  l.CustomerID,
		Product:     l.Product,
		LicenseType: l.LicenseType(),
		MaxDevices:  int32(l.MaxDevices),
		IsTest:      l.IsTest,
		Features:    l.UsableFeatures(now),
		ExpiresAt:   timestamp(l.ExpiresAt),
		Version:     int32(l.Version),
		License:     Snapshot(l, now),
	}
}

func suspended(l *License, now time.Time) *eventsv1.LicenseSuspended {
	return &eventsv1.LicenseSuspended{
		LicenseId:      l.ID,
		CustomerId:     l.CustomerID,
		Reason:         l.Suspension.Reason,
		SuspendedAt:    timestamp(l.Suspension.At),
		SuspendedUntil: timestamp(l.Suspension.Until),
		Version:        int32(l.Version),
		License:        Snapshot(l, now),
	}
}

// Who ended a suspension, as events tell it.
const (
	reinstatedByAdmin = "admin"
	reinstatedByTime  = "time"
)

func reinstated(l *License, by string, now time.Time) *eventsv1.LicenseReinstated {
	return &eventsv1.LicenseReinstated{
		LicenseId: l.ID, CustomerId: l.CustomerID, By: by, Version: int32(l.Version), License: Snapshot(l, now),
	}
}

func renewed(l *License, previous, now time.Time) *eventsv1.LicenseRenewed {
	return &eventsv1.LicenseRenewed{
		LicenseId:         l.ID,
		CustomerId:        l.CustomerID,
		PreviousExpiresAt: timestamp(previous),
		ExpiresAt:         timestamp(l.ExpiresAt),
		Version:           int32(l.Version),
		License:           Snapshot(l, now),
	}
}

func converted(l *License, now time.Time) *eventsv1.LicenseConverted {
	return &eventsv1.LicenseConverted{
		LicenseId: l.ID, CustomerId: l.CustomerID, Version: int32(l.Version), License: Snapshot(l, now),
	}
}

func started(l *License, at, now time.Time) *eventsv1.LicenseStarted {
	return &eventsv1.LicenseStarted{
		LicenseId:  l.ID,
		CustomerId: l.CustomerID,
		StartedAt:  timestamp(at),
		ExpiresAt:  timestamp(l.ExpiresAt),
		Version:    int32(l.Version),
		License:    Snapshot(l, now),
	}
}

func inGrace(l *License, now time.Time) *eventsv1.LicenseInGrace {
	return &eventsv1.LicenseInGrace{
		LicenseId:   l.ID,
		CustomerId:  l.CustomerID,
		ExpiresAt:   timestamp(l.ExpiresAt),
		GraceEndsAt: timestamp(l.UsableUntil()),
		Version:     int32(l.Version),
		License:     Snapshot(l, now),
	}
}

func expired(l *License, now time.Time) *eventsv1.LicenseExpired {
	return &eventsv1.LicenseExpired{
		LicenseId:  l.ID,
		CustomerId: l.CustomerID,
		ExpiresAt:  timestamp(l.ExpiresAt),
		Version:    int32(l.Version),
		License:    Snapshot(l, now),
	}
}

// audited is an entry of the audit log; before and after hold JSON values only.
func audited(by *Actor, action, licenseID string, before, after map[string]any) *eventsv1.AuditRecorded {
	entry := audit.Entry(by, action, before, after)
	entry.LicenseId = licenseID
	return entry
}
