package licensing

import (
	"sync"
	"time"
)

// finds remembers which searches by key of this hour are in the audit log already, so that anyone who searches on and
// on does not fill it. The zero value is ready.
type finds struct {
	mu    sync.Mutex
	hour  time.Time
	noted map[find]bool
}

// find is a license that an administrator found by its key.
type find struct{ adminID, licenseID string }

// maxFinds bounds the memory; in an hour with more of them, some get a second entry.
const maxFinds = 10_000

// in tells whether the log has an entry of that hour.
func (f *finds) in(now time.Time, what find) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hour.Equal(now.Truncate(time.Hour)) && f.noted[what]
}

// note says that the log has the entry.
func (f *finds) note(now time.Time, what find) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if hour := now.Truncate(time.Hour); !f.hour.Equal(hour) || len(f.noted) >= maxFinds {
		f.hour, f.noted = hour, map[find]bool{}
	}
	f.noted[what] = true
}
