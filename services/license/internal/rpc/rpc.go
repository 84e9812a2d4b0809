// Package rpc answers peer services: it translates between the contract and the use cases, nothing else.
package rpc

import (
	"context"
	"encoding/json"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Callers says which service may ask what. What names an Actor is for admin alone, which has checked who that is.
var Callers = rpc.Callers{
	licensev1connect.LicenseServiceCheckDeviceProcedure:        {"auth"},
	licensev1connect.LicenseServiceCreateLicenseProcedure:      {"admin"},
	licensev1connect.LicenseServiceBulkCreateLicensesProcedure: {"admin"},
	licensev1connect.LicenseServiceGetLicenseProcedure:         {"admin"},
	licensev1connect.LicenseServiceUpdateLicenseProcedure:      {"admin"},
	licensev1connect.LicenseServiceDeleteLicenseProcedure:      {"admin"},
	licensev1connect.LicenseServiceListLicensesProcedure:       {"admin"},
	licensev1connect.LicenseServiceRevealLicenseKeyProcedure:   {"admin"},
	licensev1connect.LicenseServiceListDevicesProcedure:        {"admin"},
	licensev1connect.LicenseServiceDeactivateDeviceProcedure:   {"admin"},
	licensev1connect.LicenseServiceTransferDeviceProcedure:     {"admin"},
	licensev1connect.LicenseServiceListEventsProcedure:         {"admin"},
	licensev1connect.LicenseServiceCountLicensesProcedure:      {"admin"},
}

// Server implements licensev1connect.LicenseServiceHandler.
type Server struct {
	Licensing   *licensing.Licensing
	Idempotency *idempotency.Store
	Clock       clock.Clock
}

var _ licensev1connect.LicenseServiceHandler = (*Server)(nil)

// CheckDevice implements the contract.
func (s *Server) CheckDevice(ctx context.Context, req *connect.Request[licensev1.CheckDeviceRequest]) (*connect.Response[licensev1.CheckDeviceResponse], error) {
	seat, err := s.check(ctx, req.Msg)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&licensev1.CheckDeviceResponse{
		ExpiresAt: timestamp(seat.License.ExpiresAt), LicenseVersion: int32(seat.LicenseVersion()),
	}), nil
}

func (s *Server) check(ctx context.Context, m *licensev1.CheckDeviceRequest) (licensing.Seat, error) {
	if m.LicenseVersion == nil {
		return s.Licensing.CheckDevice(ctx, m.GetLicenseId(), m.GetHardwareId())
	}
	return s.Licensing.CheckHolder(ctx, licensing.Holder{
		LicenseID: m.GetLicenseId(), HardwareID: m.GetHardwareId(), LicenseVersion: int(m.GetLicenseVersion()),
	})
}

func actor(a *rpcv1.Actor) licensing.Actor {
	return licensing.Actor{ID: a.GetId(), Name: a.GetName(), Role: a.GetRole(), IP: a.GetIp(), RequestID: a.GetRequestId()}
}

func newLicense(l *licensing.License) *licensev1.License {
	return &licensev1.License{
		LicenseId: l.ID, MaskedKey: l.MaskedKey, CustomerId: l.CustomerID, Product: l.Product, LicenseType: l.Type,
		MaxDevices: int32(l.MaxDevices), CurrentDevices: int32(l.CurrentDevices), MaxOfflineHours: int32(l.MaxOfflineHours),
		IsActive: l.IsActive, IsTest: l.IsTest, Features: l.Features, MetadataJson: metadata(l.Metadata), Version: int32(l.Version),
		CreatedAt: timestamp(l.CreatedAt), UpdatedAt: timestamp(l.UpdatedAt), ExpiresAt: timestamp(l.ExpiresAt),
		DeactivatedAt: timestamp(l.DeactivatedAt), DeactivationReason: l.DeactivationReason,
	}
}

func metadata(m json.RawMessage) []byte {
	if len(m) == 0 {
		return []byte("{}")
	}
	return m
}

func newDevice(d *licensing.Device) *licensev1.Device {
	return &licensev1.Device{
		DeviceId: d.ID, HardwareId: d.HardwareID, DeviceName: d.Name, OsName: d.OSName, OsVersion: d.OSVersion, AppVersion: d.AppVersion, SessionDataJson: d.SessionData,
		IsActive: d.IsActive, ActivatedAt: timestamp(d.ActivatedAt), LastSeenAt: timestamp(d.LastSeenAt), DeactivatedAt: timestamp(d.DeactivatedAt),
	}
}

// timestamp leaves out what is not set.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// optionalTime is nil where the member is absent.
func optionalTime(t *timestamppb.Timestamp) *time.Time {
	if t == nil {
		return nil
	}
	at := t.AsTime().Truncate(time.Microsecond)
	return &at
}

func optionalInt(n *int32) *int {
	if n == nil {
		return nil
	}
	i := int(*n)
	return &i
}
