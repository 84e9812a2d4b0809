package admin_test

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
)

// errNoLicense is how the sister answers for every other license.
var errNoLicense = apierr.New(apierr.NotFound, errcode.LicenseNotFound, "no license has this id")

// theLicense is the license that the sister knows.
func theLicense() *licensev1.License {
	return &licensev1.License{
		LicenseId:       licenseID,
		MaskedKey:       "LIC-7KQ2********",
		CustomerId:      "acme",
		Product:         "default",
		LicenseType:     "standard",
		MaxDevices:      5,
		CurrentDevices:  2,
		MaxOfflineHours: 720,
		IsActive:        true,
		Features:        []string{"export"},
		MetadataJson:    []byte(`{"big":12345678901234567890}`),
		Version:         3,
		CreatedAt:       timestamppb.New(now.Add(-time.Hour)),
		UpdatedAt:       timestamppb.New(now),
	}
}

// theDevice is a device on it.
func theDevice() *licensev1.Device {
	return &licensev1.Device{
		DeviceId:        "0199d3c9-1f00-7a3b-8c11-2b3c4d5e6f70",
		HardwareId:      "device-123",
		OsName:          "Windows",
		OsVersion:       "10",
		SessionDataJson: []byte(`{"project":"demo"}`),
		ActivatedAt:     timestamppb.New(now),
		DeactivatedAt:   timestamppb.New(now),
	}
}

// answerAll makes the sisters answer every method.
func (s *suite) answerAll() {
	l := s.license
	on(l, licensev1connect.LicenseServiceCreateLicenseProcedure, func(*licensev1.CreateLicenseRequest) (*licensev1.CreateLicenseResponse, error) {
		return &licensev1.CreateLicenseResponse{License: theLicense(), LicenseKey: "LIC-7KQ2M9XWT4HD"}, nil
	})
	on(l, licensev1connect.LicenseServiceBulkCreateLicensesProcedure, func(r *licensev1.BulkCreateLicensesRequest) (*licensev1.BulkCreateLicensesResponse, error) {
		res := &licensev1.BulkCreateLicensesResponse{}
		for _, row := range r.GetRows() {
			res.Created = append(res.Created, &licensev1.BulkCreated{Index: row.GetIndex(), License: theLicense(), LicenseKey: "LIC-7KQ2M9XWT4HD"})
		}
		return res, nil
	})
	on(l, licensev1connect.LicenseServiceGetLicenseProcedure, func(*licensev1.GetLicenseRequest) (*licensev1.GetLicenseResponse, error) {
		return &licensev1.GetLicenseResponse{License: theLicense()}, nil
	})
	on(l, licensev1connect.LicenseServiceUpdateLicenseProcedure, func(r *licensev1.UpdateLicenseRequest) (*licensev1.UpdateLicenseResponse, error) {
		if r.GetLicenseId() != licenseID {
			return nil, errNoLicense
		}
		return &licensev1.UpdateLicenseResponse{License: theLicense()}, nil
	})
	on(l, licensev1connect.LicenseServiceDeleteLicenseProcedure, func(*licensev1.DeleteLicenseRequest) (*licensev1.DeleteLicenseResponse, error) {
		gone := theLicense()
		gone.IsActive, gone.DeactivatedAt = false, timestamppb.New(now)
		return &licensev1.DeleteLicenseResponse{License: gone}, nil
	})
	on(l, licensev1connect.LicenseServiceListLicensesProcedure, func(*licensev1.ListLicensesRequest) (*licensev1.ListLicensesResponse, error) {
		return &licensev1.ListLicensesResponse{Licenses: []*licensev1.License{theLicense()}, Total: 101}, nil
	})
	on(l, licensev1connect.LicenseServiceRevealLicenseKeyProcedure, func(*licensev1.RevealLicenseKeyRequest) (*licensev1.RevealLicenseKeyResponse, error) {
		return &licensev1.RevealLicenseKeyResponse{LicenseKey: "LIC-7KQ2M9XWT4HD"}, nil
	})
	on(l, licensev1connect.LicenseServiceListDevicesProcedure, func(*licensev1.ListDevicesRequest) (*licensev1.ListDevicesResponse, error) {
		return &licensev1.ListDevicesResponse{Total: 2, Devices: []*licensev1.Device{theDevice(), {DeviceId: licenseID, HardwareId: "bare", IsActive: true}}}, nil
	})
	on(l, licensev1connect.LicenseServiceDeactivateDeviceProcedure, func(*licensev1.DeactivateDeviceRequest) (*licensev1.DeactivateDeviceResponse, error) {
		return &licensev1.DeactivateDeviceResponse{Device: theDevice(), MaxDevices: 5, CurrentDevices: 1}, nil
	})
	on(l, licensev1connect.LicenseServiceTransferDeviceProcedure, func(r *licensev1.TransferDeviceRequest) (*licensev1.TransferDeviceResponse, error) {
		if r.GetLicenseId() != licenseID {
			return nil, errNoLicense
		}
		return &licensev1.TransferDeviceResponse{Device: theDevice()}, nil
	})
	on(l, licensev1connect.LicenseServiceListEventsProcedure, func(*licensev1.ListEventsRequest) (*licensev1.ListEventsResponse, error) {
		return &licensev1.ListEventsResponse{Total: 1001, Events: []*licensev1.Event{{
			EventId: licenseID, Type: "license.activated", OccurredAt: timestamppb.New(now), DataJson: []byte(`{"current_devices":1}`),
		}}}, nil
	})
	on(l, licensev1connect.LicenseServiceCountLicensesProcedure, func(*licensev1.CountLicensesRequest) (*licensev1.CountLicensesResponse, error) {
		return &licensev1.CountLicensesResponse{Total: 120, Active: 100, Inactive: 15, Expired: 5, Test: 8, Expiring_30Days: 12, ActiveDevices: 260}, nil
	})
	s.answerAnalytics()
}

func (s *suite) answerAnalytics() {
	a := s.analytics
	on(a, analyticsv1connect.AnalyticsServiceLicenseStatisticsProcedure, func(*analyticsv1.LicenseStatisticsRequest) (*analyticsv1.LicenseStatisticsResponse, error) {
		return &analyticsv1.LicenseStatisticsResponse{
			ValidationsTotal: 4211, Validations_24H: 96, FailedValidations_24H: 1, LastValidatedAt: timestamppb.New(now), RiskScore: 0.12,
		}, nil
	})
	on(a, analyticsv1connect.AnalyticsServiceLicenseUsageProcedure, func(r *analyticsv1.LicenseUsageRequest) (*analyticsv1.LicenseUsageResponse, error) {
		counts := &analyticsv1.UsageCounts{Validations: 96, FailedValidations: 1, Activations: 2, Heartbeats: 40, UniqueDevices: 2}
		return &analyticsv1.LicenseUsageResponse{Totals: counts, Daily: []*analyticsv1.DayUsage{{Date: "2026-03-02", Counts: counts}}}, nil
	})
	on(a, analyticsv1connect.AnalyticsServiceStatisticsProcedure, func(*analyticsv1.StatisticsRequest) (*analyticsv1.StatisticsResponse, error) {
		return &analyticsv1.StatisticsResponse{Validations_24H: 88123, FailedValidations_24H: 420, AnomaliesOpen: 3, Anomalies_24H: 1}, nil
	})
}
