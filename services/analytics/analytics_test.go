package analytics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/pkg/testkit/rpctest"
	analyticsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/analytics/v1/analyticsv1connect"
	"github.com/latchkey-dev/latchkey/services/analytics"
)

// TestService follows events from the bus to the peer services, the API and back to the bus.
func TestService(t *testing.T) {
	eachHarness(t, func(t *testing.T, w *harness) {
		seen := w.watch("anomaly.detected")
		s, _ := w.start()
		license, now := uuid.NewString(), time.Now()
		if _, err := validations(t.Context(), s, license); !errors.Is(err,
			apierr.New(apierr.NotFound, "LICENSE_NOT_FOUND", "")) {
			t.Errorf("unknown license: %v", err)
		}
		poison := newEvent("license.validated", now, map[string]any{"license_id": license, "hardware_id": 7})
		events := []event.Event{newEvent("license.created", now,
			map[string]any{"license_id": license, "customer_id": "acme", "max_devices": 2, "is_active": true,
				"version": 1, "license": map[string]any{}}), poison}
		for i := range 40 {
			events = append(events,
				newEvent("license.validated", now,
					map[string]any{"license_id": license, "hardware_id": fmt.Sprint("d", i%2), "ip": "192.0.2.1"}),
				newEvent("license.validation.failed", now.Add(time.Duration(i-50)*time.Minute),
					map[string]any{"ip": "203.0.113.9",
						"error_code": "LICENSE_NOT_FOUND", "license_key_hash": fmt.Sprintf("%064x", i)}))
		}
		w.publish(events...)
		testkit.Eventually(t, patience, func() error {
			n, err := validations(t.Context(), s, license)
			if err == nil && n != 40 {
				err = fmt.Errorf("%v validations of 40", n)
			}
			return err
		})
		w.checkRPC(s, license)
		rec := httptest.NewRecorder()
		s.InternalHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
		if !strings.Contains(rec.Body.String(), "latchkey_consumer_lag_seconds") {
			t.Error("the lag is not among the metrics")
		}
		if status := w.call(s, "/licenses/"+license+"/patterns"); status != http.StatusOK {
			t.Errorf("patterns: %d", status)
		}
		select {
		case e := <-seen:
			if e.Subject != "ip:203.0.113.9" {
				t.Errorf("announced: %+v", e)
			}
		case <-time.After(patience):
			t.Error("the anomaly was not announced")
		}
		letters := w.pub.DeadLetters("analytics.events")
		testkit.Eventually(t, patience, func() error {
			found, err := letters.List(t.Context(), 10)
			if err == nil && (len(found) != 1 || found[0].Event.ID != poison.ID) {
				err = fmt.Errorf("dead letters: %+v", found)
			}
			return err
		})
	})
}

// TestAClockThatWasDaysBehind: what lay more than a day ahead of it is a dead letter, and counts once it is replayed
// under the right clock.
func TestAClockThatWasDaysBehind(t *testing.T) {
	eachHarness(t, func(t *testing.T, w *harness) {
		now := time.Now()
		wrong := clock.NewFake(now.AddDate(0, 0, -14))
		w.clock = wrong
		s, _ := w.start()
		license := uuid.NewString()
		w.publish(newEvent("license.validated", now, map[string]any{"license_id": license, "hardware_id": "d"}))
		letters := w.pub.DeadLetters("analytics.events")
		dead := func(want int) {
			t.Helper()
			testkit.Eventually(t, patience, func() error {
				n, err := letters.Count(t.Context())
				if err == nil && n != want {
					err = fmt.Errorf("%d dead letters, want %d", n, want)
				}
				return err
			})
		}
		dead(1)
		wrong.Set(now)
		if n, err := letters.Replay(t.Context()); n != 1 || err != nil {
			t.Errorf("%d replayed: %v", n, err)
		}
		dead(0)
		testkit.Eventually(t, patience, func() error {
			n, err := validations(t.Context(), s, license)
			if err == nil && n != 1 {
				err = fmt.Errorf("%v validations, want 1", n)
			}
			return err
		})
	})
}

// watch starts to listen for events of a type.
func (w *harness) watch(eventType string) <-chan event.Event {
	seen, ready := make(chan event.Event, 10), make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		_ = w.pub.Watch(ctx, bus.Watch{Types: []string{eventType}, OnEvent: func(e event.Event) {
			seen <- e
		}, OnGap: func() { ready <- struct{}{} }})
	}()
	<-ready
	return seen
}

func (w *harness) checkRPC(s *analytics.Service, license string) {
	t := w.t
	t.Helper()
	res, err := client(s).
		LicenseUsage(t.Context(), connect.NewRequest(&analyticsv1.LicenseUsageRequest{LicenseId: license, Days: 7}))
	if err != nil {
		t.Fatal(err)
	}
	if days := res.Msg.Daily; len(days) != 7 || res.Msg.Totals.Validations != 40 || res.Msg.Totals.UniqueDevices != 2 {
		t.Errorf("usage: %v", res.Msg)
	}
	for _, days := range []int32{0, 367, -1} {
		_, err := client(s).LicenseUsage(t.Context(),
			connect.NewRequest(&analyticsv1.LicenseUsageRequest{LicenseId: license, Days: days}))
		if apierr.From(err).Code != "VALIDATION_ERROR" {
			t.Errorf("usage of %d days: %v", days, err)
		}
	}
	all, err := client(s).Statistics(t.Context(), connect.NewRequest(&analyticsv1.StatisticsRequest{}))
	if err != nil || all.Msg.Validations_24H != 40 || all.Msg.FailedValidations_24H != 40 ||
		all.Msg.AnomaliesOpen != 1 || all.Msg.Anomalies_24H != 1 {
		t.Errorf("statistics: %v, %v", all, err)
	}
}

// TestRevokedKey demands that the event of a revocation end the key: the clock stands still, so the cache's time is
// never over.
func TestRevokedKey(t *testing.T) {
	eachHarness(t, func(t *testing.T, w *harness) {
		w.clock = clock.NewFake(time.Now())
		s, _ := w.start()
		testkit.Eventually(t, patience, func() error {
			if status := w.call(s, "/dashboard"); status != http.StatusOK {
				return fmt.Errorf("dashboard: %d", status)
			}
			return nil
		})
		w.auth.revoked.Store(true)
		w.publish(newEvent("apikey.revoked", time.Now(), map[string]any{"api_key_id": "k"}))
		testkit.Eventually(t, patience, func() error {
			if status := w.call(s, "/dashboard"); status != http.StatusUnauthorized {
				return fmt.Errorf("dashboard: %d", status)
			}
			return nil
		})
	})
}

// TestStandby runs two processes, ends the one at work in the middle, and counts.
func TestStandby(t *testing.T) {
	eachHarness(t, func(t *testing.T, w *harness) {
		_, stop := w.start()
		second, _ := w.start()
		license := uuid.NewString()
		const total = 2000
		for n := 0; n < total; n += 100 {
			if n == total/2 {
				stop()
			}
			var events []event.Event
			for range 100 {
				events = append(events, newEvent("license.validated", time.Now(),
					map[string]any{"license_id": license, "hardware_id": "a"}))
			}
			w.publish(events...)
			w.publish(events[:10]...) // as a publisher does that does not know whether the first time succeeded
		}
		testkit.Eventually(t, patience, func() error {
			n, err := validations(t.Context(), second, license)
			if err == nil && n != total {
				err = fmt.Errorf("%v validations of %d", n, total)
			}
			return err
		})
	})
}

// TestInternalPort demands a service token: no public credential opens it.
func TestInternalPort(t *testing.T) {
	w := newHarnessOnSQLite(t)
	s, _ := w.start()
	foreign := analyticsv1connect.NewAnalyticsServiceClient(
		rpc.HTTPClient(httpx.InProcess{"analytics": s.InternalHandler()}), "http://analytics",
		rpc.NewClientOptions(rpc.NewIdentity("admin"), "analytics")...)
	if _, err := foreign.Statistics(t.Context(), connect.NewRequest(&analyticsv1.StatisticsRequest{})); err == nil {
		t.Error("a token signed with another key was accepted")
	}
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, httptest.NewRequest("POST", analyticsv1connect.AnalyticsServiceStatisticsProcedure, nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("the public port answers internal calls: %d", rec.Code)
	}
}

func TestWhoMayAskWhat(t *testing.T) {
	s, _ := newHarnessOnSQLite(t).start()
	rpctest.CheckCallers(t, s.InternalHandler(), analytics.Name, analyticsv1.File_latchkey_analytics_v1_analytics_proto,
		map[string][]string{
			"LicenseStatistics": {"admin"}, "LicenseUsage": {"admin"},
			"LicenseRefusals": {"admin"}, "Statistics": {"admin"},
		})
}
