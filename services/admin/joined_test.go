package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
)

// errNoLicense is how the license service answers for a license that is not there.
var errNoLicense = apierr.New(apierr.NotFound, errcode.LicenseNotFound, "no license has this id")

// asked is the one question that the peer was asked.
func asked[Req any](t *testing.T, s *peer) Req {
	t.Helper()
	calls := s.calls()
	if len(calls) != 1 {
		t.Fatalf("asked %d times: %v", len(calls), calls)
	}
	req, ok := calls[0].(Req)
	if !ok {
		t.Fatalf("asked %T", calls[0])
	}
	return req
}

func diffProto(t *testing.T, want, got proto.Message) {
	t.Helper()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("asked otherwise than expected (-want +got):\n%s", diff)
	}
}

func diffJSON(t *testing.T, want string, got []byte) {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestGetLicense(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	member := strings.TrimSuffix(theLicense, "}") + ","
	tests := map[string]struct {
		answer func(*analyticsv1.LicenseStatisticsRequest) (*analyticsv1.LicenseStatisticsResponse, error)
		want   string
	}{
		"known": {nil, `"statistics":{"validations_total":4211,"validations_24h":96,"failed_validations_24h":1,` +
			`"active_devices":2,"last_validated_at":"2026-03-02T12:00:00Z","risk_score":0.12}}`},
		"not seen yet": {func(*analyticsv1.LicenseStatisticsRequest) (*analyticsv1.LicenseStatisticsResponse, error) {
			return nil, apierr.New(apierr.NotFound, errcode.LicenseNotFound, "never seen")
		}, `"statistics":{"validations_total":0,"validations_24h":0,"failed_validations_24h":0,"active_devices":2,` +
			`"last_validated_at":null,"risk_score":0}}`},
		"away": {func(*analyticsv1.LicenseStatisticsRequest) (*analyticsv1.LicenseStatisticsResponse, error) {
			return nil, apierr.ErrUnavailable
		}, `"statistics":{"validations_total":null,"validations_24h":null,"failed_validations_24h":null,` +
			`"active_devices":2,"last_validated_at":null,"risk_score":null},"degraded":["analytics"]}`},
		"broken": {func(*analyticsv1.LicenseStatisticsRequest) (*analyticsv1.LicenseStatisticsResponse, error) {
			return nil, errors.New("a defect")
		}, `"statistics":{"validations_total":null,"validations_24h":null,"failed_validations_24h":null,` +
			`"active_devices":2,"last_validated_at":null,"risk_score":null},"degraded":["analytics"]}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.answerAnalytics()
			if test.answer != nil {
				on(s.analytics, analyticsv1connect.AnalyticsServiceLicenseStatisticsProcedure, test.answer)
			}
			res := s.call(ownerKey, "GET", theLicenses, nil, nil).want(http.StatusOK, nil)
			diffJSON(t, member+test.want, res.body)
			if got := res.header.Get("ETag"); got != `"3"` {
				t.Errorf("ETag %s", got)
			}
		})
	}
	s.license.calls()
	s.call(ownerKey, "GET", licenses+"/"+strings.ToUpper(licenseID), nil, nil).want(http.StatusOK, nil)
	if got := asked[request](t, s.license); got.uri != theLicenses || got.by.GetName() != "configuration" {
		t.Errorf("asked %+v", got)
	}
	s.license.reply("GET "+theLicenses, func(*gin.Context) error { return errNoLicense })
	s.call(ownerKey, "GET", theLicenses, nil, nil).fails(http.StatusNotFound, errcode.LicenseNotFound)
	s.license.reply("GET "+theLicenses, func(*gin.Context) error { return apierr.ErrUnavailable })
	if res := s.call(ownerKey, "GET", theLicenses, nil, nil).
		fails(http.StatusServiceUnavailable, errcode.ServiceUnavailable); res.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
}

// TestPartsAreWaitedForInPartOfTheTime: a service that hangs leaves time to show the rest, and one that counts all
// licenses has more.
func TestPartsAreWaitedForInPartOfTheTime(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	for path, most := range map[string]time.Duration{
		theLicenses: httpx.DefaultTimeout, "/api/v1/admin/statistics": 5 * time.Second,
	} {
		s.call(ownerKey, "GET", path, nil, nil).want(http.StatusOK, nil)
		timeout, err := strconv.Atoi(s.analytics.timeout)
		limit := int(most.Milliseconds()) - 500
		if err != nil || timeout > limit || timeout < limit/2 {
			t.Errorf("%s: waits %q ms for analytics, want at most %d", path, s.analytics.timeout, limit)
		}
	}
}

func TestUsage(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	counts := `"validations":96,"failed_validations":1,"activations":2,"deactivations":0,"heartbeats":40,` +
		`"unique_devices":2`
	res := s.call(ownerKey, "GET", theLicenses+"/usage", nil, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"license_id":"`+licenseID+`","days":30,"totals":{`+counts+`},"daily":[{"date":"2026-03-02",`+counts+
		`}]}`, res.body)
	diffProto(t, &analyticsv1.LicenseUsageRequest{LicenseId: licenseID, Days: 30},
		asked[*analyticsv1.LicenseUsageRequest](t, s.analytics))
	if calls := s.license.calls(); len(calls) != 0 {
		t.Errorf("the license service was asked: %v", calls)
	}

	on(s.analytics, analyticsv1connect.AnalyticsServiceLicenseUsageProcedure,
		func(*analyticsv1.LicenseUsageRequest) (*analyticsv1.LicenseUsageResponse, error) {
			return nil, apierr.New(apierr.NotFound, errcode.LicenseNotFound, "never seen")
		})
	none := `"validations":0,"failed_validations":0,"activations":0,"deactivations":0,"heartbeats":0,"unique_devices":0`
	res = s.call(ownerKey, "GET", theLicenses+"/usage?days=3", nil, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"license_id":"`+licenseID+`","days":3,"totals":{`+none+`},"daily":[
		{"date":"2026-02-28",`+none+`},{"date":"2026-03-01",`+none+`},{"date":"2026-03-02",`+none+`}]}`, res.body)

	s.license.reply("GET "+theLicenses, func(*gin.Context) error { return errNoLicense })
	s.call(ownerKey, "GET", theLicenses+"/usage", nil, nil).fails(http.StatusNotFound, errcode.LicenseNotFound)
}

func TestRefusals(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	res := s.call(ownerKey, "GET", theLicenses+"/refusals?page=2&per_page=1", nil, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"license_id":"`+licenseID+`","since":"2026-01-31T12:00:00Z","refusals":[{"hardware_id":"pc-7",
		"error_code":"DEVICE_LIMIT_EXCEEDED","count":3,"first_at":"2026-03-02T11:00:00Z",
		"last_at":"2026-03-02T12:00:00Z","device_name":"Reception","app_version":null,"ip":null}],
		"page":2,"per_page":1,"total":3,"total_pages":3}`, res.body)
	diffProto(t, &analyticsv1.LicenseRefusalsRequest{LicenseId: licenseID, Page: 2, PerPage: 1},
		asked[*analyticsv1.LicenseRefusalsRequest](t, s.analytics))
	s.call(ownerKey, "GET", theLicenses+"/refusals?per_page=101", nil, nil).
		fails(http.StatusBadRequest, "VALIDATION_ERROR")

	on(s.analytics, analyticsv1connect.AnalyticsServiceLicenseRefusalsProcedure,
		func(*analyticsv1.LicenseRefusalsRequest) (*analyticsv1.LicenseRefusalsResponse, error) {
			return nil, apierr.New(apierr.NotFound, errcode.LicenseNotFound, "never seen")
		})
	res = s.call(ownerKey, "GET", theLicenses+"/refusals", nil, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"license_id":"`+licenseID+`","since":null,"refusals":[],"page":1,"per_page":50,"total":0,
		"total_pages":0}`, res.body)

	s.license.reply("GET "+theLicenses, func(*gin.Context) error { return errNoLicense })
	s.call(ownerKey, "GET", theLicenses+"/refusals", nil, nil).fails(http.StatusNotFound, errcode.LicenseNotFound)
}

func TestStatistics(t *testing.T) {
	const (
		fromLicense = `"licenses":{"total":120,"active":100,"in_grace":2,"inactive":12,"expired":5,` +
			`"suspended":2,"not_started":1,"test":8,"expiring_30_days":12},"devices":{"active":260},`
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
				on(s.license, licensev1connect.LicenseServiceCountLicensesProcedure,
					func(*licensev1.CountLicensesRequest) (*licensev1.CountLicensesResponse, error) {
						return nil, apierr.ErrUnavailable
					})
			}
			if !test.analytics {
				on(s.analytics, analyticsv1connect.AnalyticsServiceStatisticsProcedure,
					func(*analyticsv1.StatisticsRequest) (*analyticsv1.StatisticsResponse, error) {
						return nil, apierr.ErrUnavailable
					})
			}
			res := s.call(ownerKey, "GET", "/api/v1/admin/statistics", nil, nil).want(http.StatusOK, nil)
			diffJSON(t, "{"+test.want+"}", res.body)
		})
	}
}
