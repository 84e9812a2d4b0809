// Package decode reads the members of events that analytics uses, from the bus and from the log alike.
package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// maxText is the longest text, in characters, that the suite's API lets in; more is cut off.
const maxText = 255

// Event fills in what the event's data says; a member that is missing is empty. It refuses what could never be stored.
func Event(e *usage.Event) error {
	msg, err := event.Event{ID: e.EventID, Type: e.Type, Data: e.Data}.Message()
	if err != nil {
		return err
	}
	if msg == nil {
		return nil // a type of a newer publisher: it is counted
	}
	readMessage(e, msg)
	if m, ok := msg.(interface{ GetLicense() *eventsv1.License }); ok && m.GetLicense() != nil {
		readMessage(e, m.GetLicense())
		readMessage(e, m.GetLicense().GetTerms())
	}
	if e.Type == eventsv1.TypeLicenseOfflineTokenIssued {
		e.OfflineUntil = e.ExpiresAt
	}
	if err := readPlace(e); err != nil {
		return err
	}
	return check(e)
}

// readMessage takes over the members that a message has: each member has the same name in all of them.
func readMessage(e *usage.Event, msg proto.Message) {
	readClient(e, msg)
	if m, ok := msg.(interface{ GetFromHardwareId() string }); ok {
		e.FromHardwareID = m.GetFromHardwareId()
	}
	if m, ok := msg.(interface{ GetToHardwareId() string }); ok {
		e.ToHardwareID = m.GetToHardwareId()
	}
	if m, ok := msg.(interface{ GetErrorCode() string }); ok {
		e.ErrorCode = m.GetErrorCode()
	}
	if m, ok := msg.(interface{ GetReason() string }); ok {
		e.Reason = m.GetReason()
	}
	if m, ok := msg.(interface{ GetBy() string }); ok {
		e.By = m.GetBy()
	}
	if m, ok := msg.(interface{ GetLicenseKeyHash() string }); ok {
		e.KeyHash = m.GetLicenseKeyHash()
	}
	readLicense(e, msg)
}

// readClient takes over who asked, and from where.
func readClient(e *usage.Event, msg proto.Message) {
	if m, ok := msg.(interface{ GetHardwareId() string }); ok {
		e.HardwareID = m.GetHardwareId()
	}
	if m, ok := msg.(interface{ GetDeviceName() string }); ok {
		e.DeviceName = m.GetDeviceName()
	}
	if m, ok := msg.(interface{ GetOs() string }); ok {
		e.OS = m.GetOs()
	}
	if m, ok := msg.(interface{ GetAppVersion() string }); ok {
		e.AppVersion = m.GetAppVersion()
	}
	if m, ok := msg.(interface{ GetSessionId() string }); ok {
		e.SessionID = m.GetSessionId()
	}
	if m, ok := msg.(interface{ GetIp() string }); ok {
		e.IP = m.GetIp()
	}
	if m, ok := msg.(interface{ GetViaProxy() bool }); ok {
		e.ViaProxy = m.GetViaProxy()
	}
	if m, ok := msg.(interface{ GetClientTime() *timestamppb.Timestamp }); ok {
		e.ClientTime = timeOf(m.GetClientTime())
	}
}

// readLicense takes over the license's state, which messages carry in part, a snapshot as a whole.
func readLicense(e *usage.Event, msg proto.Message) {
	if m, ok := msg.(interface{ GetLicenseId() string }); ok {
		e.LicenseID = m.GetLicenseId()
	}
	if m, ok := msg.(interface{ GetCustomerId() string }); ok {
		e.CustomerID = m.GetCustomerId()
	}
	if m, ok := msg.(interface{ GetProduct() string }); ok {
		e.Product = m.GetProduct()
	}
	if m, ok := msg.(interface{ GetLicenseType() string }); ok {
		e.LicenseType = m.GetLicenseType()
	}
	if m, ok := msg.(interface{ GetIsTest() bool }); ok {
		e.IsTest = m.GetIsTest()
	}
	if m, ok := msg.(interface{ GetIsActive() bool }); ok {
		e.IsActive = m.GetIsActive()
	}
	if m, ok := msg.(interface{ GetMaxDevices() int32 }); ok {
		e.MaxDevices = int(m.GetMaxDevices())
	}
	if m, ok := msg.(interface{ GetCurrentDevices() int32 }); ok {
		e.CurrentDevices = int(m.GetCurrentDevices())
	}
	if m, ok := msg.(interface{ GetExpiresAt() *timestamppb.Timestamp }); ok {
		e.ExpiresAt = timeOf(m.GetExpiresAt())
	}
	if m, ok := msg.(interface{ GetVersion() int32 }); ok {
		e.Version = int64(m.GetVersion())
	}
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// readPlace takes over what a geo database said of the address, where the event carries it already; it is no part of the messages.
func readPlace(e *usage.Event) error {
	if !bytes.Contains(e.Data, []byte(`"country":"`)) {
		return nil
	}
	var p struct {
		Country  string
		Lat, Lon float64
		ASN      uint32
		NetKind  string `json:"net_kind"`
	}
	if err := json.Unmarshal(e.Data, &p); err != nil {
		return err
	}
	e.Country, e.Lat, e.Lon, e.ASN, e.NetKind = p.Country, p.Lat, p.Lon, p.ASN, p.NetKind
	return nil
}

// check brings the event's ids and texts into the form in which they are stored.
func check(e *usage.Event) error {
	if e.LicenseID != "" {
		id, err := uuid.Parse(e.LicenseID)
		if err != nil {
			return fmt.Errorf("license_id is no UUID: %w", err)
		}
		e.LicenseID = id.String()
	}
	for _, text := range []*string{&e.HardwareID, &e.FromHardwareID, &e.ToHardwareID, &e.DeviceName, &e.OS, &e.AppVersion, &e.SessionID,
		&e.IP, &e.Country, &e.NetKind, &e.ErrorCode, &e.Reason, &e.By, &e.KeyHash, &e.CustomerID, &e.Product, &e.LicenseType} {
		if strings.ContainsRune(*text, 0) { // no text column of PostgreSQL takes it
			return errors.New("a text holds a NUL character")
		}
		*text = cut(*text)
	}
	return nil
}

// cut shortens text to maxText characters.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := 0
	for i := range s {
		if n++; n > maxText {
			return strings.Clone(s[:i])
		}
	}
	return s
}
