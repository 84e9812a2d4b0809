package admin_test

import (
	"net/http"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
)

func TestDevices(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	res := s.call(ownerKey, "GET", theLicenses+"/devices", nil, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"license_id":"`+licenseID+`","total":2,"page":1,"per_page":100,"total_pages":1,"devices":[
		{"device_id":"0199d3c9-1f00-7a3b-8c11-2b3c4d5e6f70","hardware_id":"device-123","device_name":null,"os_info":{"name":"Windows","version":"10"},"app_version":null,
		 "session_data":{"project":"demo"},"is_active":false,"activated_at":"2026-03-02T12:00:00Z","last_seen_at":null,"deactivated_at":"2026-03-02T12:00:00Z"},
		{"device_id":"`+licenseID+`","hardware_id":"bare","device_name":null,"os_info":null,"app_version":null,"session_data":null,"is_active":true,"activated_at":null,"last_seen_at":null,"deactivated_at":null}
	]}`, res.body)
}

func TestDeactivateDevice(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	res := s.call(ownerKey, "POST", theLicenses+"/devices/deactivate", `{"hardware_id":"device-123","reason":"stolen"}`, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"deactivated":true,"device_id":"0199d3c9-1f00-7a3b-8c11-2b3c4d5e6f70","license_id":"`+licenseID+`","hardware_id":"device-123",
		"deactivated_at":"2026-03-02T12:00:00Z","limits":{"max_devices":5,"current_devices":1}}`, res.body)
	diffProto(t, &licensev1.DeactivateDeviceRequest{LicenseId: licenseID, HardwareId: "device-123", Reason: "stolen"},
		asked[licensev1.DeactivateDeviceRequest](t, s.license), "actor")
}

func TestTransferDevice(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	res := s.call(ownerKey, "POST", theLicenses+"/transfer", `{"from_hardware_id":"a","to_hardware_id":"b"}`, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"transferred":true,"from_hardware_id":"a","to_hardware_id":"b","device_id":"0199d3c9-1f00-7a3b-8c11-2b3c4d5e6f70"}`, res.body)
	diffProto(t, &licensev1.TransferDeviceRequest{LicenseId: licenseID, FromHardwareId: "a", ToHardwareId: "b"},
		asked[licensev1.TransferDeviceRequest](t, s.license), "actor")
}

// TestRefusedIdempotencyKeysOfDevices are answered as documented.
func TestRefusedIdempotencyKeysOfDevices(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	for code, kind := range map[string]apierr.Kind{errcode.IdempotencyKeyReused: apierr.Unprocessable, errcode.IdempotencyKeyInUse: apierr.Conflict} {
		refused := apierr.New(kind, code, "refused")
		on(s.license, licensev1connect.LicenseServiceDeactivateDeviceProcedure, func(*licensev1.DeactivateDeviceRequest) (*licensev1.DeactivateDeviceResponse, error) {
			return nil, refused
		})
		on(s.license, licensev1connect.LicenseServiceTransferDeviceProcedure, func(*licensev1.TransferDeviceRequest) (*licensev1.TransferDeviceResponse, error) {
			return nil, refused
		})
		once := header("Idempotency-Key", "k")
		s.call(ownerKey, "POST", theLicenses+"/devices/deactivate", `{"hardware_id":"a"}`, once).fails(kind.Status(), code)
		s.call(ownerKey, "POST", theLicenses+"/transfer", `{"from_hardware_id":"a","to_hardware_id":"b"}`, once).fails(kind.Status(), code)
	}
}

func TestEvents(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	for query, hours := range map[string]int32{"": 24, "?hours=8760": 8760} {
		s.call(ownerKey, "GET", theLicenses+"/events"+query, nil, nil).want(http.StatusOK, nil)
		diffProto(t, &licensev1.ListEventsRequest{LicenseId: licenseID, Hours: hours}, asked[licensev1.ListEventsRequest](t, s.license))
	}
	res := s.call(ownerKey, "GET", theLicenses+"/events", nil, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"license_id":"`+licenseID+`","hours":24,"total":1001,"events":[
		{"event_id":"`+licenseID+`","type":"license.activated","occurred_at":"2026-03-02T12:00:00Z","data":{"current_devices":1}}]}`, res.body)
}

func TestUsage(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	counts := `"validations":96,"failed_validations":1,"activations":2,"deactivations":0,"heartbeats":40,"unique_devices":2`
	res := s.call(ownerKey, "GET", theLicenses+"/usage", nil, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"license_id":"`+licenseID+`","days":30,"totals":{`+counts+`},"daily":[{"date":"2026-03-02",`+counts+`}]}`, res.body)
	diffProto(t, &analyticsv1.LicenseUsageRequest{LicenseId: licenseID, Days: 30}, asked[analyticsv1.LicenseUsageRequest](t, s.analytics))
	if calls := s.license.calls(); len(calls) != 0 {
		t.Errorf("the license service was asked: %v", calls)
	}

	on(s.analytics, analyticsv1connect.AnalyticsServiceLicenseUsageProcedure, func(*analyticsv1.LicenseUsageRequest) (*analyticsv1.LicenseUsageResponse, error) {
		return nil, apierr.New(apierr.NotFound, errcode.LicenseNotFound, "never seen")
	})
	none := `"validations":0,"failed_validations":0,"activations":0,"deactivations":0,"heartbeats":0,"unique_devices":0`
	res = s.call(ownerKey, "GET", theLicenses+"/usage?days=3", nil, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"license_id":"`+licenseID+`","days":3,"totals":{`+none+`},"daily":[
		{"date":"2026-02-28",`+none+`},{"date":"2026-03-01",`+none+`},{"date":"2026-03-02",`+none+`}]}`, res.body)

	on(s.license, licensev1connect.LicenseServiceGetLicenseProcedure, func(*licensev1.GetLicenseRequest) (*licensev1.GetLicenseResponse, error) {
		return nil, apierr.New(apierr.NotFound, errcode.LicenseNotFound, "no license has this id")
	})
	s.call(ownerKey, "GET", theLicenses+"/usage", nil, nil).fails(http.StatusNotFound, errcode.LicenseNotFound)
}

func TestStatistics(t *testing.T) {
	const (
		fromLicense   = `"licenses":{"total":120,"active":100,"inactive":15,"expired":5,"test":8,"expiring_30_days":12},"devices":{"active":260},`
		fromAnalytics = `"validations":{"last_24h":88123,"failed_24h":420},"anomalies":{"open":3,"last_24h":1},`
		noLicense     = `"licenses":null,"devices":null,`
		noAnalytics   = `"validations":null,"anomalies":null,`
		at            = `"generated_at":"2026-03-02T12:00:00Z"`
	)
	for name, test := range map[string]struct {
		license, analytics bool
		want               string
	}{
		"all":            {true, true, fromLicense + fromAnalytics + at},
		"analytics away": {true, false, fromLicense + noAnalytics + at + `,"degraded":["analytics"]`},
		"license away":   {false, true, noLicense + fromAnalytics + at + `,"degraded":["license"]`},
		"both away":      {false, false, noLicense + noAnalytics + at + `,"degraded":["license","analytics"]`},
	} {
		t.Run(name, func(t *testing.T) {
			s := onSQLite(t, nil)
			s.answerAll()
			if !test.license {
				on(s.license, licensev1connect.LicenseServiceCountLicensesProcedure, func(*licensev1.CountLicensesRequest) (*licensev1.CountLicensesResponse, error) {
					return nil, apierr.ErrUnavailable
				})
			}
			if !test.analytics {
				on(s.analytics, analyticsv1connect.AnalyticsServiceStatisticsProcedure, func(*analyticsv1.StatisticsRequest) (*analyticsv1.StatisticsResponse, error) {
					return nil, apierr.ErrUnavailable
				})
			}
			res := s.call(ownerKey, "GET", "/api/v1/admin/statistics", nil, nil).want(http.StatusOK, nil)
			diffJSON(t, "{"+test.want+"}", res.body)
		})
	}
}
