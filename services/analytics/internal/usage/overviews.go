package usage

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// overviewTimeout bounds one load, which reads all licenses and devices.
	overviewTimeout = 60 * time.Second
	// An overview that took slowOverview or more is kept keptTimes as long as it took, at most keptLongest: so
	// dashboards that ask again and again leave most of the database to others, however large it is.
	slowOverview = 200 * time.Millisecond
	keptTimes    = 20
	keptLongest  = time.Minute
)

// overviews loads overviews, one at a time for all who ask. Its zero value works.
type overviews struct {
	loading singleflight.Group
	kept    atomic.Pointer[keptOverview]
}

type keptOverview struct {
	overview *Overview
	until    time.Time
}

func (o *overviews) load(ctx context.Context, load func(context.Context) (*Overview, error)) (*Overview, error) {
	if k := o.kept.Load(); k != nil && time.Now().Before(k.until) {
		return k.overview, nil
	}
	loaded := o.loading.DoChan("", func() (_ any, err error) {
		defer func() {
			// It is not in the goroutine of a request, so nobody else would keep the process from ending.
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), overviewTimeout)
		defer cancel()
		began := time.Now()
		overview, err := load(ctx)
		if took := time.Since(began); err == nil && took >= slowOverview {
			o.kept.Store(&keptOverview{overview, time.Now().Add(min(keptTimes*took, keptLongest))})
		}
		return overview, err
	})
	select {
	case l := <-loaded:
		overview, _ := l.Val.(*Overview)
		return overview, l.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
