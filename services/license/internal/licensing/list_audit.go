package licensing

import (
	"sync"
	"time"
)

// keySearches remembers which searches by key of this hour are in the audit log already, so that anyone who searches
// on and on does not fill it. The zero value is ready.
type keySearches struct {
	mu    sync.Mutex
	hour  time.Time
	noted map[keySearch]bool
}

// keySearch is a license that an administrator found by its key.
type keySearch struct{ adminID, licenseID string }

// maxKeySearches bounds the memory; in an hour with more of them, some get a second entry.
const maxKeySearches = 10_000

// logged reports whether the log has an entry of that hour.
func (f *keySearches) logged(now time.Time, what keySearch) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hour.Equal(now.Truncate(time.Hour)) && f.noted[what]
}

// note says that the log has the entry.
func (f *keySearches) note(now time.Time, what keySearch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if hour := now.Truncate(time.Hour); !f.hour.Equal(hour) || len(f.noted) >= maxKeySearches {
		f.hour, f.noted = hour, map[keySearch]bool{}
	}
	f.noted[what] = true
}
