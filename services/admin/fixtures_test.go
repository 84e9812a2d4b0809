package admin_test

import (
	"net/http"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
)

const (
	licenses    = "/api/v1/admin/licenses"
	theLicenses = licenses + "/" + licenseID
	apiKeysPath = "/api/v1/admin/api-keys"

	// theLicense is the license that the peer knows.
	theLicense = `{"license_id":"` + licenseID + `","license_key":"LIC-7KQ2********","customer_id":"acme",` +
		`"product":"default","policy":null,"group_id":null,` + theTerms +
		`"status":"active","started_at":null,"suspended_at":null,"suspended_until":null,` +
		`"suspension_reason":null,"transfers_used":0,"current_devices":2,"is_active":true,"is_test":false,` +
		`"metadata":{"big":12345678901234567890},` +
		`"version":3,"created_at":"2026-03-02T11:00:00Z","updated_at":"2026-03-02T12:00:00Z",` +
		`"deactivated_at":null,"deactivation_reason":null}`
	// theTerms are those of theLicense.
	theTerms = `"license_type":"perpetual",` +
		`"is_trial":false,"offline_activation":true,"duration_days":null,"duration_months":null,"starts":"creation",` +
		`"timezone":"UTC","starts_at":null,"grace_hours":0,"maintenance_until":null,"entitlements":[],"counters":[],` +
		`"device_match":null,"device_idle_minutes":null,"transfer_limit":null,` +
		`"new_devices":null,"prevent_vm":false,"networks":null,"countries":null,` +
		`"max_devices":5,"max_offline_hours":720,"features":["export"],"expires_at":null,`
	theLicenseList = `{"licenses":[` + theLicense + `],"page":1,"per_page":50,` +
		`"total":101,"total_pages":3,"next_cursor":null}`
	aKey = `"id":"` + licenseID + `","client_name":"app","allowed_endpoints":["*"],"product":null,` +
		`"rate_limit":{"per_minute":60,"per_hour":1000,"per":"key"},` +
		`"created_at":"2026-03-02T12:00:00Z","expires_at":null}`
)

// forwardedRoute is a route that its owner answers, with a good body and a documented answer.
type forwardedRoute struct {
	owner, method, path, body string
	status                    int
	answer                    string
}

var forwardedRoutes = slices.Concat(catalogRoutes, counterRoutes, customerRoutes, deviceRoutes, integrationRoutes,
	keyRoutes, bulkRoutes, peopleRoutes, delegatedRoutes, []forwardedRoute{
		{"license", "POST", licenses, `{"customer_id":"a"}`, 201, theLicense},
		{"license", "GET", licenses, ``, 200, theLicenseList},
		{"license", "POST", licenses + "/search", `{"license_key":"LIC-1"}`, 200, theLicenseList},
		{"license", "POST", licenses + "/bulk-create", `{"licenses":[{"customer_id":"a"}]}`, 201,
			`{"created":[{"index":0,` + theLicense[1:] + `],"failed":[],"total":1,"created_count":1,"failed_count":0}`},
		{"license", "POST", licenses + "/import", `{"licenses":[{"license_key":"GF32-XR78"}]}`, 200,
			`{"dry_run":true,"results":[{"index":0,"license_id":null,"outcome":"created","changed":[],` +
				`"error_code":null,"error":null,"details":{}}],"total":1,"created_count":1,"updated_count":0,` +
				`"unchanged_count":0,"differs_count":0,"failed_count":0}`},
		{"license", "PATCH", theLicenses, `{}`, 200, theLicense},
		{"license", "DELETE", theLicenses, `{}`, 200,
			`{"license_id":"` + licenseID + `","is_active":false,"deactivated_at":"2026-03-02T12:00:00Z"}`},
		{"license", "POST", theLicenses + "/reveal-key", `{}`, 200,
			`{"license_id":"` + licenseID + `","license_key":"LIC-7KQ2M9XWT4HD"}`},
		{
			"license", "POST", theLicenses + "/license-file", `{"valid_hours":24}`, 201,
			`{"file_id":"` + licenseID + `","license_id":"` + licenseID +
				`","hardware_ids":null,"kid":"9e11f6f9def41f7f","issued_at":"2026-03-02T12:00:00Z",` +
				`"expires_at":"2026-03-03T12:00:00Z",` +
				`"license_file":"-----BEGIN LATCHKEY CERTIFICATE-----"}`,
		},
		{"license", "POST", "/api/v1/admin/explain", `{"license_id":"` + licenseID + `","hardware_id":"a"}`, 200,
			`{"verdict":"allowed","error_code":null,"checks":[],"device":null,"license":null}`},
		{"license", "POST", theLicenses + "/renew", `{"days":30}`, 200, theLicense},
		{"license", "POST", theLicenses + "/suspend", `{"reason":"unpaid"}`, 200, theLicense},
		{"license", "POST", theLicenses + "/reinstate", `{}`, 200, theLicense},
		{"license", "POST", theLicenses + "/convert", `{}`, 200, theLicense},
		{"license", "GET", theLicenses + "/leases", ``, 200,
			`{"license_id":"` + licenseID + `","leases":[],"slots":{"total":5,"in_use":0},` +
				`"page":1,"per_page":100,"total":0,"total_pages":0,"next_cursor":null}`},
		{"license", "DELETE", theLicenses + "/leases/" + licenseID, `{}`, 200,
			`{"released":true,"lease_id":"` + licenseID + `","license_id":"` + licenseID +
				`","hardware_id":"a","released_at":"2026-03-02T12:00:00Z","slots":{"total":5,"in_use":0}}`},
		{"license", "POST", theLicenses + "/transfer", `{"from_hardware_id":"a","to_hardware_id":"b"}`, 200,
			`{"transferred":true,"from_hardware_id":"a","to_hardware_id":"b","device_id":"` + licenseID + `"}`},
		{"license", "GET", theLicenses + "/devices", ``, 200,
			`{"license_id":"` + licenseID + `","devices":[],` +
				`"page":1,"per_page":100,"total":0,"total_pages":0,"next_cursor":null}`},
		{"license", "POST", theLicenses + "/devices/deactivate", `{"hardware_id":"a"}`, 200,
			`{"deactivated":true,"device_id":"` + licenseID + `","license_id":"` + licenseID +
				`","hardware_id":"a","deactivated_at":"2026-03-02T12:00:00Z","limits":{"max_devices":5,` +
				`"current_devices":1}}`},
		{"license", "GET", theLicenses + "/events", ``, 200,
			`{"license_id":"` + licenseID + `","hours":24,"events":[],"total":0}`},
		{"auth", "POST", apiKeysPath, `{"client_name":"a"}`, 201, `{"api_key":"sk_x",` + aKey},
		{"auth", "GET", apiKeysPath, ``, 200, `{"api_keys":[{` + aKey + `]}`},
		{"auth", "PATCH", apiKeysPath + "/" + licenseID, `{}`, 200, `{` + aKey},
		{"auth", "DELETE", apiKeysPath + "/" + licenseID, `{}`, 200,
			`{"id":"` + licenseID + `","revoked":true,"revoked_at":"2026-03-02T12:00:00Z"}`},
		{"auth", "POST", apiKeysPath + "/" + licenseID + "/rotate", `{}`, 200,
			`{"api_key":"sk_y","old_api_key_expires_at":"2026-03-02T12:00:00Z",` + aKey},
	})

// ownerOf is the double of the service that answers a route.
func (s *harness) ownerOf(r forwardedRoute) *peer {
	return map[string]*peer{"license": s.license, "auth": s.auth}[r.owner]
}

// answerAll makes the peers answer everything.
func (s *harness) answerAll() {
	for _, r := range forwardedRoutes {
		s.ownerOf(r).reply(r.method+" "+r.path, with(r.status, r.answer))
	}
	s.license.reply("GET "+theLicenses, with(http.StatusOK, theLicense))
	on(s.license, licensev1connect.LicenseServiceCountLicensesProcedure,
		func(*licensev1.CountLicensesRequest) (*licensev1.CountLicensesResponse, error) {
			return &licensev1.CountLicensesResponse{
				Total:           120,
				Active:          100,
				InGrace:         2,
				Inactive:        12,
				Expired:         5,
				Suspended:       2,
				NotStarted:      1,
				Test:            8,
				Expiring_30Days: 12,
				ActiveDevices:   260,
			}, nil
		})
	s.answerAnalytics()
}

func (s *harness) answerAnalytics() {
	a := s.analytics
	on(a, analyticsv1connect.AnalyticsServiceLicenseStatisticsProcedure,
		func(*analyticsv1.LicenseStatisticsRequest) (*analyticsv1.LicenseStatisticsResponse, error) {
			return &analyticsv1.LicenseStatisticsResponse{
				ValidationsTotal: 4211, Validations_24H: 96, FailedValidations_24H: 1,
				LastValidatedAt: timestamppb.New(now), RiskScore: 0.12,
			}, nil
		})
	on(a, analyticsv1connect.AnalyticsServiceLicenseUsageProcedure,
		func(r *analyticsv1.LicenseUsageRequest) (*analyticsv1.LicenseUsageResponse, error) {
			counts := &analyticsv1.UsageCounts{
				Validations:       96,
				FailedValidations: 1,
				Activations:       2,
				Heartbeats:        40,
				UniqueDevices:     2,
			}
			return &analyticsv1.LicenseUsageResponse{
				Totals: counts,
				Daily:  []*analyticsv1.DayUsage{{Date: "2026-03-02", Counts: counts}},
			}, nil
		})
	on(a, analyticsv1connect.AnalyticsServiceLicenseRefusalsProcedure,
		func(*analyticsv1.LicenseRefusalsRequest) (*analyticsv1.LicenseRefusalsResponse, error) {
			return &analyticsv1.LicenseRefusalsResponse{
				Since: timestamppb.New(now.AddDate(0, 0, -30)),
				Refusals: []*analyticsv1.Refusal{{
					HardwareId: "pc-7", ErrorCode: "DEVICE_LIMIT_EXCEEDED", Count: 3, DeviceName: "Reception",
					FirstAt: timestamppb.New(now.Add(-time.Hour)), LastAt: timestamppb.New(now),
				}},
				Total: 3,
			}, nil
		})
	on(a, analyticsv1connect.AnalyticsServiceStatisticsProcedure,
		func(*analyticsv1.StatisticsRequest) (*analyticsv1.StatisticsResponse, error) {
			return &analyticsv1.StatisticsResponse{
				Validations_24H:       88123,
				FailedValidations_24H: 420,
				AnomaliesOpen:         3,
				Anomalies_24H:         1,
			}, nil
		})
}
