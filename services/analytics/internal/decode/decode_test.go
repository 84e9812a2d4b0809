package decode_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/decode"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

const licenseID = "01890000-0000-7000-8000-000000000001"

var now = time.Date(2026, 3, 18, 12, 0, 0, 0, time.UTC)

// TestSnapshot: the state of a license is read from the snapshot within the event.
func TestSnapshot(t *testing.T) {
	in := func(hours int) *timestamppb.Timestamp {
		return timestamppb.New(now.Add(time.Duration(hours) * time.Hour))
	}
	published, err := event.New("latchkey/license", licenseID, now, &eventsv1.LicenseUpdated{
		LicenseId: licenseID,
		License: &eventsv1.License{
			LicenseId: licenseID, CustomerId: "acme", Product: "app", IsTest: true, IsActive: true,
			CurrentDevices: 2, Version: 7, SuspendedAt: in(3), SuspendedUntil: in(4),
			Terms: &eventsv1.Terms{
				LicenseType: "subscription", MaxDevices: 5, StartsAt: in(1), ExpiresAt: in(2), GraceHours: 48,
				Floating: &eventsv1.FloatingTerms{Slots: 3, Activation: "none"},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := usage.Event{Data: published.Data}
	got.Type = published.Type
	if err := decode.Event(&got); err != nil {
		t.Fatal(err)
	}
	want := usage.Event{
		Data: published.Data, CustomerID: "acme", Product: "app", LicenseType: "subscription",
		IsTest: true, IsActive: true, CurrentDevices: 2, Version: 7,
		Span: usage.Span{
			StartsAt: in(1).AsTime(), ExpiresAt: in(2).AsTime(), GraceHours: 48,
			SuspendedAt: in(3).AsTime(), SuspendedUntil: in(4).AsTime(),
		},
	}
	want.Type, want.LicenseID, want.MaxDevices = published.Type, licenseID, 5
	want.Snapshot, want.Slots = true, 3
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSlots: slots of leases that need a seat let no device run beside the seats.
func TestSlots(t *testing.T) {
	for activation, want := range map[string]int{"none": 5, "required": 0, "": 0} {
		published, err := event.New("latchkey/license", licenseID, now, &eventsv1.LicenseLeased{
			LicenseId: licenseID, Slots: 5,
			License: &eventsv1.License{Terms: &eventsv1.Terms{
				MaxDevices: 2, Floating: &eventsv1.FloatingTerms{Slots: 5, Activation: activation},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := usage.Event{Data: published.Data}
		got.Type = published.Type
		if err := decode.Event(&got); err != nil || got.Slots != want || got.MaxDevices != 2 || !got.Snapshot {
			t.Errorf("activation %q: %d slots beside %d seats, want %d; %v",
				activation, got.Slots, got.MaxDevices, want, err)
		}
	}
}

// TestFileIssued: a license file of one machine says of that one where it is; its end is not that of the license.
func TestFileIssued(t *testing.T) {
	for want, machines := range map[string][]string{"pc": {"pc"}, "": {"pc", "laptop"}} {
		published, err := event.New("latchkey/license", licenseID, now, &eventsv1.LicenseFileIssued{
			LicenseId: licenseID, HardwareIds: machines, Ip: "192.0.2.1", Version: 2,
			ExpiresAt: timestamppb.New(now),
			License:   &eventsv1.License{Version: 2, Terms: &eventsv1.Terms{MaxDevices: 1}},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := usage.Event{Data: published.Data}
		got.Type = published.Type
		if err := decode.Event(&got); err != nil || got.HardwareID != want || got.IP != "192.0.2.1" {
			t.Errorf("file for %q: device %q at %q; %v", machines, got.HardwareID, got.IP, err)
		}
		if !got.Snapshot || got.MaxDevices != 1 || !got.ExpiresAt.IsZero() {
			t.Errorf("the license ends with its file, %v: %+v", got.ExpiresAt, got)
		}
	}
}

func TestSnapshotTypes(t *testing.T) {
	got := decode.SnapshotTypes()
	for eventType, want := range map[string]bool{
		eventsv1.TypeLicenseCreated: true, eventsv1.TypeLicenseLeased: true, eventsv1.TypeDeviceCulled: true,
		eventsv1.TypeLicenseHeartbeat: false, eventsv1.TypeLicenseActivated: false,
	} {
		if slices.Contains(got, eventType) != want {
			t.Errorf("%s among %v: want %v", eventType, got, want)
		}
	}
}
