package analytics_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
)

// TestRefusals: who was refused is told without naming a device, by device and code, the last first.
func TestRefusals(t *testing.T) {
	eachHarness(t, func(t *testing.T, w *harness) {
		s, _ := w.start()
		license, now := uuid.NewString(), time.Now().UTC().Truncate(time.Microsecond)
		ask := func(page, perPage int32) (*analyticsv1.LicenseRefusalsResponse, error) {
			res, err := client(s).LicenseRefusals(t.Context(), connect.NewRequest(&analyticsv1.LicenseRefusalsRequest{
				LicenseId: license, Page: page, PerPage: perPage,
			}))
			if err != nil {
				return nil, err
			}
			return res.Msg, nil
		}
		if _, err := ask(1, 50); !errors.Is(err, apierr.New(apierr.NotFound, "LICENSE_NOT_FOUND", "")) {
			t.Errorf("a license that was never seen: %v", err)
		}
		ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
		of := func(device, code string) map[string]any {
			return map[string]any{"license_id": license, "hardware_id": device, "error_code": code, "ip": "192.0.2.1"}
		}
		full := of("pc-1", "DEVICE_LIMIT_EXCEEDED")
		full["device_name"], full["app_version"] = "Ann's PC", "2.0"
		w.publish(
			newEvent("license.device_limit_exceeded", ago(50), full),
			newEvent("license.device_limit_exceeded", ago(40), of("pc-1", "DEVICE_LIMIT_EXCEEDED")),
			newEvent("license.validation.failed", ago(30), of("pc-1", "DEVICE_NOT_ACTIVATED")),
			newEvent("license.activation.refused", ago(20), of("pc-2", "DEVICE_BLOCKED")),
			newEvent("license.lease.denied", ago(10), of("pc-3", "LEASE_LIMIT_EXCEEDED")),
			newEvent("license.validation.failed", now.AddDate(0, 0, -31), of("pc-4", "LICENSE_EXPIRED")),
			newEvent("license.validated", now, map[string]any{"license_id": license, "hardware_id": "pc-5"}),
		)
		testkit.Eventually(t, patience, func() error {
			n, err := validations(t.Context(), s, license)
			if err == nil && n != 1 {
				err = fmt.Errorf("%v validations of 1", n)
			}
			return err
		})
		refusal := func(device, code string, count int32, first, last int) *analyticsv1.Refusal {
			return &analyticsv1.Refusal{HardwareId: device, ErrorCode: code, Count: count, Ip: "192.0.2.1",
				FirstAt: timestamppb.New(ago(first)), LastAt: timestamppb.New(ago(last))}
		}
		limit := refusal("pc-1", "DEVICE_LIMIT_EXCEEDED", 2, 50, 40)
		limit.DeviceName, limit.AppVersion = "Ann's PC", "2.0"
		want := []*analyticsv1.Refusal{
			refusal("pc-3", "LEASE_LIMIT_EXCEEDED", 1, 10, 10), refusal("pc-2", "DEVICE_BLOCKED", 1, 20, 20),
			refusal("pc-1", "DEVICE_NOT_ACTIVATED", 1, 30, 30), limit,
		}
		for page, part := range [][]*analyticsv1.Refusal{want[:3], want[3:], nil} {
			got, err := ask(int32(page+1), 3)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(part, got.Refusals, protocmp.Transform()); diff != "" || got.Total != 4 {
				t.Errorf("page %d of %d (-want +got):\n%s", page+1, got.Total, diff)
			}
			if got.Since.AsTime().After(now.AddDate(0, 0, -29)) {
				t.Errorf("since %s", got.Since.AsTime())
			}
		}
		for _, bad := range [][2]int32{{0, 1}, {-1, 1}, {1, 0}, {1, 101}} {
			if _, err := ask(bad[0], bad[1]); apierr.From(err).Code != "VALIDATION_ERROR" {
				t.Errorf("page %d of %d: %v", bad[0], bad[1], err)
			}
		}
	})
}
