package lease

import (
	"sync"
	"time"
)

const (
	// denialKept is for how long a denial is told with the lease that comes after it.
	denialKept = time.Minute
	// denialsKept bounds the memory of them.
	denialsKept = 10_000
)

// denials remembers when this process last denied a device a lease. It is memory alone: a refusal writes nothing.
type denials struct {
	mu sync.Mutex
	at map[denied]time.Time
}

type denied struct{ licenseID, hardwareID string }

// note remembers a denial.
func (d *denials) note(licenseID, hardwareID string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == nil {
		d.at = map[denied]time.Time{}
	}
	if len(d.at) >= denialsKept {
		d.makeRoom(now)
	}
	d.at[denied{licenseID, hardwareID}] = now
}

// makeRoom drops the denials that are over, and where those are few, a tenth of the others.
func (d *denials) makeRoom(now time.Time) {
	for key, at := range d.at {
		if now.Sub(at).Abs() > denialKept {
			delete(d.at, key)
		}
	}
	dropSome(d.at, denialsKept)
}

// dropSome leaves nine tenths of what a full map may hold, whichever.
func dropSome[K comparable, V any](m map[K]V, full int) {
	for key := range m {
		if len(m) <= full*9/10 {
			return
		}
		delete(m, key)
	}
}

// since is how long ago the device was denied a lease; ok is false where that is over, or never was.
func (d *denials) since(licenseID, hardwareID string, now time.Time) (ago time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, known := d.at[denied{licenseID, hardwareID}]
	if ago = now.Sub(at); !known || ago.Abs() > denialKept { // further ahead: the clock was set back
		return 0, false
	}
	return max(ago, 0), true
}

// forget drops what a lease that the device has got answers.
func (d *denials) forget(licenseID, hardwareID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.at, denied{licenseID, hardwareID})
}
