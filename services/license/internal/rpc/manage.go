package rpc

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// GetLicense implements the contract.
func (s *Server) GetLicense(ctx context.Context, req *connect.Request[licensev1.GetLicenseRequest]) (*connect.Response[licensev1.GetLicenseResponse], error) {
	l, err := s.Licensing.Catalog.Find(ctx, req.Msg.GetLicenseId())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&licensev1.GetLicenseResponse{License: newLicense(&l)}), nil
}

// UpdateLicense implements the contract.
func (s *Server) UpdateLicense(ctx context.Context, req *connect.Request[licensev1.UpdateLicenseRequest]) (*connect.Response[licensev1.UpdateLicenseResponse], error) {
	l, err := s.Licensing.Update(ctx, actor(req.Msg.GetActor()), req.Msg.GetLicenseId(), patch(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&licensev1.UpdateLicenseResponse{License: newLicense(&l)}), nil
}

func patch(m *licensev1.UpdateLicenseRequest) licensing.Patch {
	p := licensing.Patch{
		IfVersion:          optionalInt(m.IfVersion),
		CustomerID:         m.CustomerId,
		MaxDevices:         optionalInt(m.MaxDevices),
		MaxOfflineHours:    optionalInt(m.MaxOfflineHours),
		IsActive:           m.IsActive,
		IsTest:             m.IsTest,
		DeactivationReason: m.DeactivationReason,
		ExpiresAt:          optionalTime(m.GetExpiresAt()),
		ExpiresInDays:      optionalInt(m.ExpiresInDays),
		Perpetual:          m.GetPerpetual(),
	}
	if m.GetFeatures() != nil {
		features := append([]string{}, m.GetFeatures().GetValues()...)
		p.Features = &features
	}
	if m.MetadataJson != nil {
		metadata := json.RawMessage(m.GetMetadataJson())
		p.Metadata = &metadata
	}
	return p
}

// DeleteLicense implements the contract.
func (s *Server) DeleteLicense(ctx context.Context, req *connect.Request[licensev1.DeleteLicenseRequest]) (*connect.Response[licensev1.DeleteLicenseResponse], error) {
	l, err := s.Licensing.Delete(ctx, actor(req.Msg.GetActor()), req.Msg.GetLicenseId(), optionalInt(req.Msg.IfVersion), req.Msg.GetReason())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&licensev1.DeleteLicenseResponse{License: newLicense(&l)}), nil
}

// RevealLicenseKey implements the contract.
func (s *Server) RevealLicenseKey(ctx context.Context, req *connect.Request[licensev1.RevealLicenseKeyRequest]) (*connect.Response[licensev1.RevealLicenseKeyResponse], error) {
	key, err := s.Licensing.RevealKey(ctx, actor(req.Msg.GetActor()), req.Msg.GetLicenseId())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&licensev1.RevealLicenseKeyResponse{LicenseKey: key}), nil
}

// ListLicenses implements the contract.
func (s *Server) ListLicenses(ctx context.Context, req *connect.Request[licensev1.ListLicensesRequest]) (*connect.Response[licensev1.ListLicensesResponse], error) {
	page, total, err := s.Licensing.List(ctx, actor(req.Msg.GetActor()), filter(req.Msg))
	if err != nil {
		return nil, err
	}
	resp := &licensev1.ListLicensesResponse{Total: int32(total)}
	for i := range page {
		resp.Licenses = append(resp.Licenses, newLicense(&page[i]))
	}
	return connect.NewResponse(resp), nil
}

func filter(m *licensev1.ListLicensesRequest) licensing.Filter {
	return licensing.Filter{
		CustomerID:    m.CustomerId,
		HardwareID:    m.HardwareId,
		Key:           m.LicenseKey,
		Status:        licensing.Status(m.GetStatus()),
		IsActive:      m.IsActive,
		IsTest:        m.IsTest,
		CreatedAfter:  optionalTime(m.GetCreatedAfter()),
		CreatedBefore: optionalTime(m.GetCreatedBefore()),
		ExpiresAfter:  optionalTime(m.GetExpiresAfter()),
		ExpiresBefore: optionalTime(m.GetExpiresBefore()),
		Page:          int(m.GetPage()),
		PerPage:       int(m.GetPerPage()),
	}
}

// devicesPerPage is the page of ListDevices where the caller names none.
const devicesPerPage = 100

// ListDevices implements the contract.
func (s *Server) ListDevices(ctx context.Context, req *connect.Request[licensev1.ListDevicesRequest]) (*connect.Response[licensev1.ListDevicesResponse], error) {
	devices, total, err := s.Licensing.Catalog.Devices(ctx, req.Msg.GetLicenseId(),
		cmp.Or(int(req.Msg.GetPage()), 1), cmp.Or(int(req.Msg.GetPerPage()), devicesPerPage))
	if err != nil {
		return nil, err
	}
	resp := &licensev1.ListDevicesResponse{Total: int32(total)}
	for i := range devices {
		resp.Devices = append(resp.Devices, newDevice(&devices[i]))
	}
	return connect.NewResponse(resp), nil
}

// DeactivateDevice implements the contract.
func (s *Server) DeactivateDevice(ctx context.Context, req *connect.Request[licensev1.DeactivateDeviceRequest]) (*connect.Response[licensev1.DeactivateDeviceResponse], error) {
	key, err := changeKey("deactivate-device", req.Msg)
	if err != nil {
		return nil, err
	}
	d, err := idempotency.Do(ctx, s.Idempotency, key, func(ctx context.Context) (licensing.Deactivation, error) {
		return s.Licensing.DeactivateDevice(ctx, actor(req.Msg.GetActor()), req.Msg.GetLicenseId(), req.Msg.GetHardwareId(), req.Msg.GetReason())
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&licensev1.DeactivateDeviceResponse{
		Device: newDevice(&d.Device), MaxDevices: int32(d.License.MaxDevices), CurrentDevices: int32(d.License.CurrentDevices),
	}), nil
}

// TransferDevice implements the contract.
func (s *Server) TransferDevice(ctx context.Context, req *connect.Request[licensev1.TransferDeviceRequest]) (*connect.Response[licensev1.TransferDeviceResponse], error) {
	key, err := changeKey("transfer-device", req.Msg)
	if err != nil {
		return nil, err
	}
	d, err := idempotency.Do(ctx, s.Idempotency, key, func(ctx context.Context) (licensing.Device, error) {
		return s.Licensing.Transfer(ctx, actor(req.Msg.GetActor()), req.Msg.GetLicenseId(), req.Msg.GetFromHardwareId(), req.Msg.GetToHardwareId())
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&licensev1.TransferDeviceResponse{Device: newDevice(&d)}), nil
}

// maxEvents bounds the answer of ListEvents.
const maxEvents = 1000

// ListEvents implements the contract.
func (s *Server) ListEvents(ctx context.Context, req *connect.Request[licensev1.ListEventsRequest]) (*connect.Response[licensev1.ListEventsResponse], error) {
	since := s.Clock.Now().Add(-time.Duration(req.Msg.GetHours()) * time.Hour)
	events, total, err := s.Licensing.Catalog.Events(ctx, req.Msg.GetLicenseId(), since, maxEvents)
	if err != nil {
		return nil, err
	}
	resp := &licensev1.ListEventsResponse{Total: int32(total)}
	for _, e := range events {
		resp.Events = append(resp.Events, &licensev1.Event{EventId: e.ID, Type: e.Type, OccurredAt: timestamp(e.At), DataJson: e.Data})
	}
	return connect.NewResponse(resp), nil
}

// CountLicenses implements the contract.
func (s *Server) CountLicenses(ctx context.Context, _ *connect.Request[licensev1.CountLicensesRequest]) (*connect.Response[licensev1.CountLicensesResponse], error) {
	n, err := s.Licensing.Catalog.Count(ctx, s.Clock.Now())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&licensev1.CountLicensesResponse{
		Total: int32(n.Total), Active: int32(n.Active), Inactive: int32(n.Inactive), Expired: int32(n.Expired), Test: int32(n.Test),
		Expiring_30Days: int32(n.Expiring30Days), ActiveDevices: int32(n.ActiveDevices),
	}), nil
}
