package ingest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// A load numbers its events; n is 1 for the first.
var loads = []struct {
	name  string
	event func(n int) event.Event
}{
	{"validated", func(n int) event.Event {
		// 10,000 licenses with two devices each; a week's worth of time every 100,000 events.
		at := now.AddDate(0, 0, -20).Add(time.Duration(n) * 6 * time.Second)
		return loadEvent(n, eventsv1.TypeLicenseValidated, at,
			fmt.Appendf(nil, `{"license_id":"01890000-0000-7000-8000-%012d","hardware_id":"device-%d",`+
				`"device_name":"desk","os":"Linux 6","app_version":"1.%d","session_id":"","ip":"10.%d.%d.7",`+
				`"client_time":null}`,
				n%10_000, n%20_000, n%3, n%4, n%250))
	}},
	{"activated", func(n int) event.Event {
		// 10,000 licenses that take one device after another, from behind one proxy.
		at := now.Add(-time.Hour).Add(time.Duration(n) * 10 * time.Microsecond)
		return loadEvent(n, eventsv1.TypeLicenseActivated, at,
			fmt.Appendf(nil, `{"license_id":"01890000-0000-7000-8000-%012d",`+
				`"device_id":"03890000-0000-7000-8000-%012d","hardware_id":"%064x","device_name":"","os":"",`+
				`"app_version":"","ip":"127.0.0.1","current_devices":1,"max_devices":1000000,"version":1,`+
				`"returning":false,"country":"","lat":0,"lon":0,"asn":0,"net_kind":""}`,
				n%10_000, n, n))
	}},
}

func loadEvent(n int, eventType string, at time.Time, data []byte) event.Event {
	return event.Event{
		ID:     fmt.Sprintf("02890000-0000-7000-8000-%012d", n),
		Type:   eventType,
		Source: "latchkey/license",
		Time:   at,
		Data:   data,
	}
}

// BenchmarkIngest takes in batches of the queue's size, after every license was learned of once, and prints events/s;
// "again" are batches of events that were taken in before, as "license republish" sends them.
func BenchmarkIngest(b *testing.B) {
	const batch = 1000
	for _, engine := range []db.Engine{db.Postgres, db.SQLite} {
		for _, load := range loads {
			b.Run(string(engine)+"/"+load.name, func(b *testing.B) {
				r := (&harness{t: b, engine: engine}).emptied()
				n := 0
				next := func() []event.Event {
					events := make([]event.Event, batch)
					for i := range events {
						n++
						events[i] = load.event(n)
					}
					return events
				}
				for n < 10_000 {
					r.handle(next()...)
				}
				b.ResetTimer()
				for range b.N {
					r.handle(next()...)
				}
				b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
			})
			b.Run(string(engine)+"/"+load.name+" again", func(b *testing.B) {
				r := (&harness{t: b, engine: engine}).emptied()
				known := make([][]event.Event, 20)
				for i := range known {
					for n := range batch {
						known[i] = append(known[i], load.event(i*batch+n+1))
					}
					r.handle(slices.Clone(known[i])...)
				}
				b.ResetTimer()
				for i := range b.N {
					r.handle(slices.Clone(known[i%len(known)])...)
				}
				b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
