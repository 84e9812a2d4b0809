// Package decode reads the members of events that analytics uses, from the bus and from the events received before.
// Which types come at all is said by the queue: Analytics of proto/queues.
package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// maxText is the longest text, in characters, that the suite's API lets in; more is cut off.
const maxText = 255

// Event fills in what the event's data says; a member that is missing is empty. It refuses what could never be stored,
// which becomes a dead letter at once (package ingest, bus.Rejected). So does a message that is no event, before it
// comes here: consume.go of pkg/bus/amqp.
func Event(e *usage.Event) error {
	msg, err := event.Event{ID: e.EventID, Type: e.Type, Data: e.Data}.Message()
	if err != nil || msg == nil { // nil: a type of a newer publisher, which is counted
		return err
	}
	if err := readPlace(e); err != nil {
		return err
	}
	if err := readMessage(e, msg.ProtoReflect()); err != nil {
		return err
	}
	if e.Type == eventsv1.TypeLicenseOfflineTokenIssued {
		e.OfflineUntil = e.ExpiresAt
	}
	return readSnapshot(e, msg.ProtoReflect())
}

// texts are the members that are text, by the name that they have in all messages.
var texts = map[protoreflect.Name]func(*usage.Event) *string{
	"hardware_id":      func(e *usage.Event) *string { return &e.HardwareID },
	"from_hardware_id": func(e *usage.Event) *string { return &e.FromHardwareID },
	"to_hardware_id":   func(e *usage.Event) *string { return &e.ToHardwareID },
	"device_name":      func(e *usage.Event) *string { return &e.DeviceName },
	"os":               func(e *usage.Event) *string { return &e.OS },
	"app_version":      func(e *usage.Event) *string { return &e.AppVersion },
	"session_id":       func(e *usage.Event) *string { return &e.SessionID },
	"ip":               func(e *usage.Event) *string { return &e.IP },
	"error_code":       func(e *usage.Event) *string { return &e.ErrorCode },
	"reason":           func(e *usage.Event) *string { return &e.Reason },
	"by":               func(e *usage.Event) *string { return &e.By },
	"license_key_hash": func(e *usage.Event) *string { return &e.KeyHash },
	"customer_id":      func(e *usage.Event) *string { return &e.CustomerID },
	"product":          func(e *usage.Event) *string { return &e.Product },
	"license_type":     func(e *usage.Event) *string { return &e.LicenseType },
}

// times are the members that are times, likewise.
var times = map[protoreflect.Name]func(*usage.Event) *time.Time{
	"client_time":     func(e *usage.Event) *time.Time { return &e.ClientTime },
	"starts_at":       func(e *usage.Event) *time.Time { return &e.StartsAt },
	"expires_at":      func(e *usage.Event) *time.Time { return &e.ExpiresAt },
	"suspended_at":    func(e *usage.Event) *time.Time { return &e.SuspendedAt },
	"suspended_until": func(e *usage.Event) *time.Time { return &e.SuspendedUntil },
}

// readMessage takes over the members of a message, and of the terms within it.
func readMessage(e *usage.Event, msg protoreflect.Message) (err error) {
	msg.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if text := texts[field.Name()]; text != nil {
			*text(e), err = storable(v.String())
		} else if at := times[field.Name()]; at != nil {
			*at(e) = timeOf(v)
		} else {
			err = readMember(e, field.Name(), v)
		}
		return err == nil
	})
	return err
}

// readSnapshot takes over the state of the license, after the members beside it: what it leaves out the license does
// not have. The expires_at of a license file, for example, is the end of the file.
func readSnapshot(e *usage.Event, msg protoreflect.Message) error {
	field := snapshotField(msg)
	if field == nil || !msg.Has(field) {
		return nil
	}
	license := msg.Get(field).Message()
	if e.Snapshot = true; license.Interface().(*eventsv1.License).GetTerms() != nil {
		e.Span = usage.Span{}
	}
	return readMessage(e, license)
}

// snapshotField is the member that has the whole state of a license, nil where the message has none.
func snapshotField(msg protoreflect.Message) protoreflect.FieldDescriptor {
	field := msg.Descriptor().Fields().ByName("license")
	if field == nil || field.Message() != (*eventsv1.License)(nil).ProtoReflect().Descriptor() {
		return nil
	}
	return field
}

// readMember takes over a member that is no time and no text, or not any text.
func readMember(e *usage.Event, name protoreflect.Name, v protoreflect.Value) (err error) {
	switch name {
	case "license_id":
		id, ok := uid.Former(v.String()) // also of events that were kept long ago
		if !ok {
			return fmt.Errorf("license_id %.50q is not a UUID", v.String())
		}
		e.LicenseID = id
	case "via_proxy":
		e.ViaProxy = v.Bool()
	case "is_test":
		e.IsTest = v.Bool()
	case "is_active":
		e.IsActive = v.Bool()
	case "max_devices":
		e.MaxDevices = int(v.Int())
	case "current_devices":
		e.CurrentDevices = int(v.Int())
	case "version":
		e.Version = v.Int()
	case "grace_hours":
		e.GraceHours = int(v.Int())
	case "terms":
		return readMessage(e, v.Message())
	case "hardware_ids": // of a license file; one for several machines says of none where it is
		if ids := v.List(); ids.Len() == 1 {
			e.HardwareID, err = storable(ids.Get(0).String())
		}
		return err
	case "floating":
		e.Slots = seatlessSlots(v.Message().Interface().(*eventsv1.FloatingTerms))
	}
	return nil
}

// seatlessSlots are the slots of leases that devices take without a seat. Where a lease requires one, the seats alone
// say how many devices may run.
func seatlessSlots(f *eventsv1.FloatingTerms) int {
	if f.GetActivation() != "none" {
		return 0
	}
	return int(f.GetSlots())
}

// SnapshotTypes are the types of events that carry the whole state of a license.
var SnapshotTypes = sync.OnceValue(func() (types []string) {
	for _, name := range event.Types() {
		msg, err := event.Event{Type: name, Data: []byte("{}")}.Message()
		if err != nil {
			panic("decode: an event without members: " + err.Error()) // cannot happen
		}
		if snapshotField(msg.ProtoReflect()) != nil {
			types = append(types, name)
		}
	}
	return types
})

func timeOf(v protoreflect.Value) time.Time {
	return v.Message().Interface().(*timestamppb.Timestamp).AsTime()
}

// readPlace takes over what a geo database said of the address, where the event carries it already; it is no part of
// the messages.
func readPlace(e *usage.Event) (err error) {
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
	e.Lat, e.Lon, e.ASN, e.NetKind = p.Lat, p.Lon, p.ASN, p.NetKind
	e.Country, err = storable(p.Country)
	return err
}

// storable is text as it is stored: at most maxText characters, without what no text column of PostgreSQL takes.
func storable(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", errors.New("a text holds a NUL character")
	}
	if len(s) <= maxText {
		return s, nil
	}
	n := 0
	for i := range s {
		if n++; n > maxText {
			return strings.Clone(s[:i]), nil
		}
	}
	return s, nil
}
