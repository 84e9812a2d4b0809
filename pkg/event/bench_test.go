package event_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

func validated() *eventsv1.LicenseValidated {
	return &eventsv1.LicenseValidated{
		LicenseId:  "0197a3c1-0000-7000-8000-000000000001",
		HardwareId: "5CD1234XYZ-00:1A:2B:3C:4D:5E", DeviceName: "laptop",
		Os: "Windows 11", AppVersion: "4.2.1", SessionId: "s-1", Ip: "203.0.113.7", ClientTime: timestamppb.New(at),
	}
}

// created has the snapshot of a license, which events of licenses share.
func created() *eventsv1.LicenseCreated {
	limit := 100.0
	return &eventsv1.LicenseCreated{License: &eventsv1.License{
		LicenseId: "0197a3c1-0000-7000-8000-000000000001", Product: "cad", IsActive: true, Status: "active", Version: 1,
		CreatedAt: timestamppb.New(at),
		Terms: &eventsv1.Terms{
			LicenseType: "subscription", MaxDevices: 5, Features: []string{"export", "cloud"},
			ExpiresAt: timestamppb.New(at), Counters: []*eventsv1.Counter{{Name: "renders", Limit: &limit}},
		},
	}}
}

// BenchmarkNew makes events of a flat and of a nested message, and says how long protojson alone takes for the same.
func BenchmarkNew(b *testing.B) {
	options := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}
	for name, msg := range map[string]proto.Message{"validated": validated(), "created": created()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := event.New("latchkey/license", "", at, msg); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+" by protojson", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := options.Marshal(msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	e, err := event.New("latchkey/license", "0197a3c1-0000-7000-8000-000000000001", at, validated())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	e, err := event.New("latchkey/license", "0197a3c1-0000-7000-8000-000000000001", at, validated())
	if err != nil {
		b.Fatal(err)
	}
	raw, err := e.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInto(b *testing.B) {
	e, err := event.New("latchkey/license", "0197a3c1-0000-7000-8000-000000000001", at, validated())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Into(&eventsv1.LicenseValidated{}); err != nil {
			b.Fatal(err)
		}
	}
}
