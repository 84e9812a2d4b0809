package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
	"github.com/latchkey-dev/latchkey/services/admin"
)

const (
	licenses    = "/api/v1/admin/licenses"
	theLicenses = licenses + "/" + licenseID
)

// asked is the one question that the sister was asked; the actor is left out when it is known to be right.
func asked[Req any](t *testing.T, s *sister) *Req {
	t.Helper()
	calls := s.calls()
	if len(calls) != 1 {
		t.Fatalf("asked %d times: %v", len(calls), calls)
	}
	req, ok := calls[0].(*Req)
	if !ok {
		t.Fatalf("asked %T", calls[0])
	}
	return req
}

func diffProto(t *testing.T, want, got proto.Message, ignore ...string) {
	t.Helper()
	opts := []cmp.Option{protocmp.Transform()}
	for _, name := range ignore {
		opts = append(opts, protocmp.IgnoreFields(want, protoreflect.Name(name)))
	}
	if diff := cmp.Diff(want, got, opts...); diff != "" {
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

func TestCreateLicense(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	body := `{"customer_id":"acme","max_devices":5,"max_offline_hours":24,"expires_in_days":365,"features":["a","b"],
		"is_test":true,"metadata":{"n": 12345678901234567890},"license_key":"OLD-KEY-1","product":"pro"}`
	res := s.call(ownerKey, "POST", licenses, body, header("Idempotency-Key", "k1")).want(http.StatusCreated, nil)
	if got := res.header.Get("ETag"); got != `"3"` {
		t.Errorf("ETag %s", got)
	}
	if !strings.Contains(string(res.body), `"license_key":"LIC-7KQ2M9XWT4HD"`) || !strings.Contains(string(res.body), `12345678901234567890`) {
		t.Errorf("%s", res.body)
	}
	req := asked[licensev1.CreateLicenseRequest](t, s.license)
	diffProto(t, &licensev1.NewLicense{
		CustomerId: "acme", Product: "pro", LicenseKey: new("OLD-KEY-1"), MaxDevices: proto.Int32(5), MaxOfflineHours: proto.Int32(24),
		ExpiresInDays: proto.Int32(365), Features: []string{"a", "b"}, IsTest: true, MetadataJson: []byte(`{"n": 12345678901234567890}`),
	}, req.GetLicense())
	if a := req.GetActor(); a.GetRole() != "owner" || a.GetName() != "configuration" || a.GetId() == "" || a.GetIp() != "192.0.2.1" || a.GetRequestId() != res.header.Get("X-Request-ID") {
		t.Errorf("actor %v", a)
	}
	first := req.GetIdempotencyKey()
	s.call(ownerKey, "POST", licenses, body, header("Idempotency-Key", "k1")).want(http.StatusCreated, nil)
	if again := asked[licensev1.CreateLicenseRequest](t, s.license).GetIdempotencyKey(); first == "" || again != first {
		t.Errorf("the same key became %q and %q", first, again)
	}
	s.through(s.engine, ownerKey, "POST", licenses, `{"customer_id":"a","license_key":""}`, nil)
	if n := asked[licensev1.CreateLicenseRequest](t, s.license).GetLicense(); n.LicenseKey == nil {
		t.Error("an empty key was taken for none")
	}
	_, other := s.newKey("other", "operator")
	s.call(other, "POST", licenses, body, header("Idempotency-Key", "k1")).want(http.StatusCreated, nil)
	if theirs := asked[licensev1.CreateLicenseRequest](t, s.license).GetIdempotencyKey(); theirs == first {
		t.Error("two admins share an idempotency key")
	}
	s.call(ownerKey, "POST", licenses, `{"customer_id":"acme","expires_in_days":null}`, nil).want(http.StatusCreated, nil)
	bare := asked[licensev1.CreateLicenseRequest](t, s.license)
	diffProto(t, &licensev1.NewLicense{CustomerId: "acme"}, bare.GetLicense())
	if bare.GetIdempotencyKey() != "" {
		t.Errorf("no key became %q", bare.GetIdempotencyKey())
	}
}

func TestGetLicense(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	member := `{"license_id":"` + licenseID + `","license_key":"LIC-7KQ2********","customer_id":"acme","product":"default","license_type":"standard",
		"max_devices":5,"current_devices":2,"max_offline_hours":720,"is_active":true,"is_test":false,"features":["export"],"metadata":{"big":12345678901234567890},
		"version":3,"created_at":"2026-03-02T11:00:00Z","updated_at":"2026-03-02T12:00:00Z","expires_at":null,"deactivated_at":null,"deactivation_reason":null,`
	tests := map[string]struct {
		answer func(*analyticsv1.LicenseStatisticsRequest) (*analyticsv1.LicenseStatisticsResponse, error)
		want   string
	}{
		"known": {nil, `"statistics":{"validations_total":4211,"validations_24h":96,"failed_validations_24h":1,"active_devices":2,"last_validated_at":"2026-03-02T12:00:00Z","risk_score":0.12}}`},
		"not seen yet": {func(*analyticsv1.LicenseStatisticsRequest) (*analyticsv1.LicenseStatisticsResponse, error) {
			return nil, apierr.New(apierr.NotFound, errcode.LicenseNotFound, "never seen")
		}, `"statistics":{"validations_total":0,"validations_24h":0,"failed_validations_24h":0,"active_devices":2,"last_validated_at":null,"risk_score":0}}`},
		"away": {func(*analyticsv1.LicenseStatisticsRequest) (*analyticsv1.LicenseStatisticsResponse, error) {
			return nil, apierr.ErrUnavailable
		}, `"statistics":{"validations_total":null,"validations_24h":null,"failed_validations_24h":null,"active_devices":2,"last_validated_at":null,"risk_score":null},"degraded":["analytics"]}`},
		"broken": {func(*analyticsv1.LicenseStatisticsRequest) (*analyticsv1.LicenseStatisticsResponse, error) {
			return nil, errors.New("a defect")
		}, `"statistics":{"validations_total":null,"validations_24h":null,"failed_validations_24h":null,"active_devices":2,"last_validated_at":null,"risk_score":null},"degraded":["analytics"]}`},
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
	s.call(ownerKey, "GET", strings.ToUpper(theLicenses[len(licenses):]), nil, nil).fails(http.StatusNotFound, errcode.NotFound)
	s.license.calls()
	s.call(ownerKey, "GET", licenses+"/"+strings.ToUpper(licenseID), nil, nil).want(http.StatusOK, nil)
	if got := asked[licensev1.GetLicenseRequest](t, s.license).GetLicenseId(); got != licenseID {
		t.Errorf("asked for %s", got)
	}
}

func TestUpdateLicense(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	tests := map[string]struct {
		body, ifMatch string
		want          *licensev1.UpdateLicenseRequest
	}{
		"nothing":    {`{}`, "", &licensev1.UpdateLicenseRequest{}},
		"empty body": {``, "", &licensev1.UpdateLicenseRequest{}},
		"all members": {`{"customer_id":"c","max_devices":9,"max_offline_hours":7,"is_active":false,"is_test":true,"expires_at":"2027-01-01T01:00:00+01:00","features":[],"metadata":{},"deactivation_reason":""}`, `"3"`,
			&licensev1.UpdateLicenseRequest{
				CustomerId: proto.String("c"), MaxDevices: proto.Int32(9), MaxOfflineHours: proto.Int32(7), IsActive: proto.Bool(false), IsTest: proto.Bool(true),
				ExpiresAt: timestamppb.New(now.AddDate(0, 10, -1).Add(-12 * 3600e9)), Features: &licensev1.StringList{}, MetadataJson: []byte(`{}`),
				DeactivationReason: proto.String(""), IfVersion: proto.Int32(3),
			}},
		"perpetual":         {`{"expires_at":null}`, `*`, &licensev1.UpdateLicenseRequest{Perpetual: true}},
		"a date":            {`{"expires_at":"2026-03-02"}`, ``, &licensev1.UpdateLicenseRequest{ExpiresAt: timestamppb.New(now.Truncate(24 * 3600e9).Add(86399e9))}},
		"days":              {`{"expires_in_days":365}`, ``, &licensev1.UpdateLicenseRequest{ExpiresInDays: proto.Int32(365)}},
		"weak tag":          {`{}`, `W/"7"`, &licensev1.UpdateLicenseRequest{IfVersion: proto.Int32(7)}},
		"tag we never gave": {`{}`, `"abc"`, &licensev1.UpdateLicenseRequest{IfVersion: proto.Int32(0)}},
		"version too large": {`{}`, `"99999999999"`, &licensev1.UpdateLicenseRequest{IfVersion: proto.Int32(0)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			edit := func(r *http.Request) {
				if test.ifMatch != "" {
					r.Header.Set("If-Match", test.ifMatch)
				}
			}
			res := s.call(ownerKey, "PATCH", theLicenses, test.body, edit).want(http.StatusOK, nil)
			if res.header.Get("ETag") != `"3"` {
				t.Errorf("ETag %s", res.header.Get("ETag"))
			}
			test.want.LicenseId = licenseID
			diffProto(t, test.want, asked[licensev1.UpdateLicenseRequest](t, s.license), "actor")
		})
	}
	on(s.license, licensev1connect.LicenseServiceUpdateLicenseProcedure, func(*licensev1.UpdateLicenseRequest) (*licensev1.UpdateLicenseResponse, error) {
		return nil, apierr.New(apierr.PreconditionFailed, errcode.VersionMismatch, "changed")
	})
	s.call(ownerKey, "PATCH", theLicenses, `{}`, header("If-Match", `"2"`)).fails(http.StatusPreconditionFailed, errcode.VersionMismatch)
}

func TestDeleteLicense(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	for body, reason := range map[string]string{"": "", `{"reason":"refund"}`: "refund"} {
		res := s.call(ownerKey, "DELETE", theLicenses, body, header("If-Match", `"3"`)).want(http.StatusOK, nil)
		diffJSON(t, `{"license_id":"`+licenseID+`","is_active":false,"deactivated_at":"2026-03-02T12:00:00Z"}`, res.body)
		diffProto(t, &licensev1.DeleteLicenseRequest{LicenseId: licenseID, IfVersion: proto.Int32(3), Reason: reason},
			asked[licensev1.DeleteLicenseRequest](t, s.license), "actor")
	}
}

func TestListLicenses(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	at := timestamppb.New(now.Truncate(24 * 3600e9))
	tests := map[string]*licensev1.ListLicensesRequest{
		"":                          {Page: 1, PerPage: 50},
		"?page=3&per_page=100":      {Page: 3, PerPage: 100},
		"?customer_id=a%20b":        {Page: 1, PerPage: 50, CustomerId: proto.String("a b")},
		"?is_active=false":          {Page: 1, PerPage: 50, IsActive: proto.Bool(false)},
		"?is_test=true":             {Page: 1, PerPage: 50, IsTest: proto.Bool(true)},
		"?created_after=2026-03-02": {Page: 1, PerPage: 50, CreatedAfter: at},
		"?created_before=2026-03-02T01:00:00%2B01:00": {Page: 1, PerPage: 50, CreatedBefore: at},
		"?expires_after=2026-03-02T00:00:00Z":         {Page: 1, PerPage: 50, ExpiresAfter: at},
		"?expires_before=2026-03-02":                  {Page: 1, PerPage: 50, ExpiresBefore: at},
		"?hardware_id=pc-1&status=expired":            {Page: 1, PerPage: 50, HardwareId: proto.String("pc-1"), Status: proto.String("expired")},
	}
	for query, want := range tests {
		t.Run(query, func(t *testing.T) {
			s := s.in(t)
			var page struct {
				Licenses    []map[string]any
				Page, Total int
				PerPage     int `json:"per_page"`
				TotalPages  int `json:"total_pages"`
			}
			s.call(ownerKey, "GET", licenses+query, nil, nil).want(http.StatusOK, &page)
			diffProto(t, want, asked[licensev1.ListLicensesRequest](t, s.license))
			pages := (101 + int(want.GetPerPage()) - 1) / int(want.GetPerPage())
			if len(page.Licenses) != 1 || page.Total != 101 || page.TotalPages != pages || page.Page != int(want.GetPage()) || page.PerPage != int(want.GetPerPage()) {
				t.Errorf("%+v", page)
			}
		})
	}
	on(s.license, licensev1connect.LicenseServiceListLicensesProcedure, func(*licensev1.ListLicensesRequest) (*licensev1.ListLicensesResponse, error) {
		return &licensev1.ListLicensesResponse{}, nil
	})
	res := s.call(ownerKey, "GET", licenses, nil, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"licenses":[],"page":1,"per_page":50,"total":0,"total_pages":0}`, res.body)
}

func TestRevealLicenseKey(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	res := s.call(ownerKey, "POST", theLicenses+"/reveal-key", nil, nil).want(http.StatusOK, nil)
	diffJSON(t, `{"license_id":"`+licenseID+`","license_key":"LIC-7KQ2M9XWT4HD"}`, res.body)
	req := asked[licensev1.RevealLicenseKeyRequest](t, s.license)
	if req.GetActor().GetName() != "configuration" {
		t.Errorf("actor %v", req.GetActor())
	}
}

func TestBulkCreate(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	s.call(ownerKey, "POST", licenses+"/bulk-create", `{"licenses":[{"customer_id":"a"},{"customer_id":"b"}]}`, nil).want(http.StatusCreated, nil)
	s.license.calls()

	on(s.license, licensev1connect.LicenseServiceBulkCreateLicensesProcedure, func(*licensev1.BulkCreateLicensesRequest) (*licensev1.BulkCreateLicensesResponse, error) {
		return &licensev1.BulkCreateLicensesResponse{
			Created: []*licensev1.BulkCreated{{Index: 6, License: theLicense(), LicenseKey: "K6"}, {Index: 0, License: theLicense(), LicenseKey: "K0"}},
			Failed:  []*licensev1.BulkFailed{{Index: 2, Error: &rpcv1.ErrorInfo{Code: "VALIDATION_ERROR", Message: "no", DetailsJson: []byte(`{"fields":{"customer_id":"is required"}}`)}}},
		}, nil
	})
	var out struct {
		Created []struct {
			Index      int
			LicenseKey string `json:"license_key"`
		}
		Failed []struct {
			Index     int
			ErrorCode string `json:"error_code"`
			Details   map[string]map[string]string
		}
		Total        int
		CreatedCount int `json:"created_count"`
		FailedCount  int `json:"failed_count"`
	}
	body := `{"licenses":[{"customer_id":"a"},{"customer_id":"b","max_devices":"many"},{},7,null,{"customer_id":"x","metadata":[]},{"customer_id":"c"}]}`
	s.call(ownerKey, "POST", licenses+"/bulk-create", body, header("Idempotency-Key", "b1")).want(http.StatusMultiStatus, &out)
	req := asked[licensev1.BulkCreateLicensesRequest](t, s.license)
	var sent []int32
	for _, row := range req.GetRows() {
		sent = append(sent, row.GetIndex())
	}
	if diff := cmp.Diff([]int32{0, 2, 6}, sent); diff != "" || len(req.GetBodySha256()) != 32 || req.GetIdempotencyKey() == "" {
		t.Errorf("asked %v\n%s", req, diff)
	}
	if out.Total != 7 || out.CreatedCount != 2 || out.FailedCount != 5 || out.Created[0].LicenseKey != "K0" || out.Created[1].Index != 6 {
		t.Errorf("%+v", out)
	}
	for i, want := range []int{1, 2, 3, 4, 5} {
		if f := out.Failed[i]; f.Index != want || f.ErrorCode != errcode.ValidationError || len(f.Details["fields"]) == 0 {
			t.Errorf("failed[%d] = %+v", i, f)
		}
	}
	s.call(ownerKey, "POST", licenses+"/bulk-create", `{"licenses":[1,2]}`, nil).want(http.StatusMultiStatus, &out)
	if out.Total != 2 || len(s.license.calls()) != 0 {
		t.Errorf("the sister was asked for nothing: %+v", out)
	}
	rows := strings.Repeat(`{"customer_id":"a"},`, 999) + `{"customer_id":"a"}`
	s.answerAll()
	s.call(ownerKey, "POST", licenses+"/bulk-create", `{"licenses":[`+rows+`]}`, nil).want(http.StatusCreated, nil)
	for _, bad := range []string{`{}`, `{"licenses":null}`, `{"licenses":[]}`, `{"licenses":{}}`, `{"licenses":[` + rows + `,1]}`, `{"licenses":[{"customer_id":"a"},{"customer_id":"b"]}`,
		`{"licenses":[{"customer_id":"a"}]}{}`, `{"licenses":[{"customer_id":"a","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}]}`, `{"licenses":[{"customer_id":"a"}],"x":"\u0000"}`} {
		s.call(ownerKey, "POST", licenses+"/bulk-create", bad, nil).fails(http.StatusBadRequest, errcode.ValidationError)
	}
	s.call(ownerKey, "POST", licenses+"/bulk-create", `{"x":"`+strings.Repeat("x", 2<<20)+`"}`, nil).fails(http.StatusBadRequest, errcode.ValidationError)
	s.call(ownerKey, "POST", licenses+"/bulk-create", `{"x":"`+strings.Repeat("x", 11<<20)+`"}`, nil).fails(http.StatusRequestEntityTooLarge, errcode.PayloadTooLarge)
}

// A row whose text is not acceptable fails alone too, although its JSON can be read.
func TestBulkCreateRowsOfBadText(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	var out struct {
		Created []struct{ Index int }
		Failed  []struct {
			Index     int
			ErrorCode string `json:"error_code"`
			Details   map[string]map[string]string
		}
	}
	body := `{"licenses":[{"customer_id":"a\u0000"},{"customer_id":"a"},{"customer_id":"\ud800"},{"customer_id":"b","metadata":{"n":[1e400]}},` +
		"{\"customer_id\":\"\xff\"}" + `,{"customer_id":"c"}]}`
	s.call(ownerKey, "POST", licenses+"/bulk-create", body, nil).want(http.StatusMultiStatus, &out)
	if len(out.Created) != 2 || out.Created[0].Index != 1 || out.Created[1].Index != 5 || len(out.Failed) != 4 {
		t.Fatalf("%+v", out)
	}
	for i, want := range []struct {
		index int
		field string
	}{{0, "customer_id"}, {2, "customer_id"}, {3, "metadata.n[0]"}, {4, "customer_id"}} {
		if f := out.Failed[i]; f.Index != want.index || f.ErrorCode != errcode.ValidationError || f.Details["fields"][want.field] == "" {
			t.Errorf("failed[%d] = %+v, want %+v", i, f, want)
		}
	}
}

// A typed error of a rule reaches the user as it was made, one of ours does not.
func TestSisterErrorsPassThrough(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"typed":             {apierr.InvalidField("max_devices", "must be from 1 to 1000000"), 400, errcode.ValidationError},
		"conflict":          {apierr.New(apierr.Conflict, errcode.LicenseKeyExists, "taken"), 409, errcode.LicenseKeyExists},
		"away":              {apierr.ErrUnavailable, 503, errcode.ServiceUnavailable},
		"untyped":           {errors.New("disk on fire"), 500, errcode.InternalError},
		"untyped bad input": {connect.NewError(connect.CodeInvalidArgument, errors.New("what?")), 500, errcode.InternalError},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			on(s.license, licensev1connect.LicenseServiceCreateLicenseProcedure, func(*licensev1.CreateLicenseRequest) (*licensev1.CreateLicenseResponse, error) {
				return nil, test.err
			})
			res := s.call(ownerKey, "POST", licenses, `{"customer_id":"a"}`, nil).fails(test.status, test.code)
			if strings.Contains(string(res.body), "fire") {
				t.Errorf("leaked: %s", res.body)
			}
			if test.status == 503 && res.header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		})
	}
}

// goodBody is a body that the operation takes.
func goodBody(method, path string) any {
	for end, body := range map[string]string{
		"/licenses":           `{"customer_id":"a"}`,
		"/search":             `{"license_key":"LIC-1"}`,
		"/bulk-create":        `{"licenses":[{"customer_id":"a"}]}`,
		"/transfer":           `{"from_hardware_id":"a","to_hardware_id":"b"}`,
		"/devices/deactivate": `{"hardware_id":"a"}`,
		"/api-keys":           `{"client_name":"a"}`,
	} {
		if method == http.MethodPost && strings.HasSuffix(path, end) {
			return body
		}
	}
	if method == http.MethodGet {
		return nil
	}
	return `{}`
}

// TestIntegratorC3KnownNames: what the call does not take is refused by name, with what to do; a body of nothing else is fine.
func TestIntegratorC3KnownNames(t *testing.T) {
	s := onSQLite(t, nil)
	s.answerAll()
	for _, test := range []struct{ method, path, body, says string }{
		{"POST", licenses, `{"customer_id":"a","is_active":false}`, "PATCH or DELETE"},
		{"POST", licenses, `{"customer_id":"a","license_type":"trial"}`, "license_type"},
		{"POST", licenses, `{"customer_id":"a","max_activations":5}`, "max_devices"},
		{"POST", licenses, `{"customer_id":"a","max_device":5}`, "did you mean max_devices?"},
		{"PATCH", theLicenses, `{"license_key":"x"}`, "make another license"},
		{"PATCH", theLicenses, `{"version":3}`, "If-Match"},
		{"POST", theLicenses + "/transfer", `{"from_hardware_id":"a","to":"b","to_hardware_id":"b"}`, "is unknown"},
		{"POST", theLicenses + "/reveal-key", `{"reason":"x"}`, "is unknown"},
		{"GET", licenses + "?limit=5", ``, "per_page"},
		{"GET", licenses + "?stauts=active", ``, "did you mean status?"},
		{"GET", licenses + "?status=broken", ``, "active, expired, inactive"},
		{"GET", theLicenses + "/usage?hours=1", ``, "days"},
		{"POST", licenses + "?dry_run=1", `{"customer_id":"a"}`, "dry_run"},
	} {
		var body any
		if test.body != "" {
			body = test.body
		}
		res := s.through(s.engine, ownerKey, test.method, test.path, body, nil)
		res.fails(http.StatusBadRequest, errcode.ValidationError)
		if !strings.Contains(string(res.body), test.says) {
			t.Errorf("%s %s %s: %s", test.method, test.path, test.body, res.body)
		}
	}
	s.nobodyWasAsked()
}

// A sister that nobody reaches is a 503 that says when to try again.
func TestSisterAway(t *testing.T) {
	s := onSQLite(t, func(c *admin.Config) {
		c.LicenseURL, c.AnalyticsURL, c.AuthURL = "http://nowhere", "http://nowhere", "http://nowhere"
	})
	for _, op := range operations(t) {
		if strings.HasPrefix(op.path, keysPath) || op.path == auditPath || strings.HasSuffix(op.path, "/statistics") {
			continue
		}
		res := s.call(ownerKey, op.method, op.path, goodBody(op.method, op.path), nil).fails(http.StatusServiceUnavailable, errcode.ServiceUnavailable)
		if res.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: no Retry-After", op.method, op.path)
		}
	}
}
