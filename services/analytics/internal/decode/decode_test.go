package decode_test

import (
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
		Data: published.Data, Snapshot: true, CustomerID: "acme", Product: "app", LicenseType: "subscription",
		IsTest: true, IsActive: true, CurrentDevices: 2, Version: 7,
		Span: usage.Span{
			StartsAt: in(1).AsTime(), ExpiresAt: in(2).AsTime(), GraceHours: 48,
			SuspendedAt: in(3).AsTime(), SuspendedUntil: in(4).AsTime(),
		},
	}
	want.Type, want.LicenseID, want.MaxDevices = published.Type, licenseID, 5
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
