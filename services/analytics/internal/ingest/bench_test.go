package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// BenchmarkIngest takes in batches of 500 events of 1,000 licenses with two devices each, and prints events/s.
func BenchmarkIngest(b *testing.B) {
	for _, engine := range []db.Engine{db.Postgres, db.SQLite} {
		b.Run(string(engine), func(b *testing.B) {
			r := (&rig{t: b, engine: engine}).emptied()
			const batch = 500
			n := 0
			next := func() []event.Event {
				events := make([]event.Event, batch)
				for i := range events {
					n++
					// A week's worth of time every 100,000 events.
					at := now.AddDate(0, 0, -20).Add(time.Duration(n) * 6 * time.Second)
					events[i] = event.Event{
						ID: fmt.Sprintf("02890000-0000-7000-8000-%012d", n), Type: usage.LicenseValidated, Source: "latchkey/license", Time: at,
						Data: fmt.Appendf(nil, `{"license_id":"01890000-0000-7000-8000-%012d","hardware_id":"device-%d","device_name":"desk","os":"Linux 6","app_version":"1.%d","session_id":"","ip":"10.%d.%d.7","client_time":null}`,
							n%1000, n%2000, n%3, n%4, n%250),
					}
				}
				return events
			}
			r.handle(next()...)
			b.ResetTimer()
			for range b.N {
				r.handle(next()...)
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
