package usage

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowOverviewsAreShared: however many dashboards ask, a large database is read once for all, and not all the time.
// One that is read quickly is as new as ever.
func TestSlowOverviewsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o overviews
		takes, loads := 2*time.Second, 0
		ask := func() {
			overview, err := o.load(t.Context(), func(context.Context) (*Overview, error) {
				loads++
				time.Sleep(takes)
				return &Overview{}, nil
			})
			if overview == nil || err != nil {
				t.Errorf("%v, %v", overview, err)
			}
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(ask)
		}
		all.Wait()
		for _, tt := range []struct {
			later time.Duration
			loads int
		}{{0, 1}, {39 * time.Second, 1}, {2 * time.Second, 2}} {
			time.Sleep(tt.later)
			if ask(); loads != tt.loads {
				t.Errorf("%v later: loaded %d times, want %d", tt.later, loads, tt.loads)
			}
		}
		time.Sleep(time.Minute)
		takes, loads = 10*time.Millisecond, 0
		if ask(); loads != 1 {
			t.Errorf("loaded %d times after it was kept", loads)
		}
		if ask(); loads != 2 {
			t.Errorf("a quick one was loaded %d times, want each time", loads)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		takes = time.Second
		slow := func(context.Context) (*Overview, error) { time.Sleep(takes); return nil, nil }
		if _, err := o.load(gone, slow); err == nil {
			t.Error("whoever has left waits for the end")
		}
		synctest.Wait()
		time.Sleep(takes)
	})
}

// TestOverviewThatPanics: it is the error of who asked, and not the end of the process.
func TestOverviewThatPanics(t *testing.T) {
	var o overviews
	_, err := o.load(t.Context(), func(context.Context) (*Overview, error) { panic("no such figure") })
	if err == nil || !strings.Contains(err.Error(), "no such figure") {
		t.Errorf("got %v", err)
	}
}
