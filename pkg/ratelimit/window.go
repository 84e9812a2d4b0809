package ratelimit

import "time"

const (
	// exactUpTo is the largest limit whose calls are remembered one by one.
	exactUpTo = 4096
	// slots are the parts of a window in which the calls of a larger limit are counted.
	slots = 60
)

// run is a number of calls that leave the window together, span after at. Times are Unix microseconds.
type run struct {
	at int64
	n  int
}

// window remembers the calls of the last span, oldest first. Beyond exactUpTo they are gathered into sixtieths, each
// counted as if its calls had come at its end: it forgets late, never early.
type window struct {
	span  int64 // microseconds
	runs  []run
	head  int // runs before it have left
	total int
}

// add counts n calls at a moment not before the last one.
func (w *window) add(at int64, n, limit int) {
	if limit > exactUpTo {
		slot := w.span / slots
		at = (at/slot + 1) * slot
	}
	w.total += n
	if last := len(w.runs) - 1; last >= w.head && w.runs[last].at >= at {
		w.runs[last].n += n
		return
	}
	w.compact()
	w.runs = append(w.runs, run{at: at, n: n})
}

// compact makes room at the end once half of the runs have left, so that memory follows the calls in the window.
func (w *window) compact() {
	if w.head == 0 || len(w.runs) < cap(w.runs) || w.head < len(w.runs)/2 {
		return
	}
	kept := copy(w.runs, w.runs[w.head:])
	w.runs, w.head = w.runs[:kept], 0
}

// forget drops what is older than the window. Calls from the future by more than a window mean that the clock was set
// back: they are dropped too, or they would block the key until their time.
func (w *window) forget(now int64) {
	for w.head < len(w.runs) && (w.runs[w.head].at+w.span <= now || w.runs[w.head].at > now+2*w.span) {
		w.total -= w.runs[w.head].n
		w.head++
	}
	if w.head == len(w.runs) {
		w.runs, w.head = w.runs[:0], 0
	}
}

// back takes back up to n of the newest calls.
func (w *window) back(n int) {
	for n > 0 && len(w.runs) > w.head {
		last := &w.runs[len(w.runs)-1]
		gone := min(n, last.n)
		last.n -= gone
		w.total -= gone
		n -= gone
		if last.n == 0 {
			w.runs = w.runs[:len(w.runs)-1]
		}
	}
}

// until is the time in microseconds until so many calls have left the window.
func (w *window) until(now int64, calls int) int64 {
	for _, r := range w.runs[w.head:] {
		if calls -= r.n; calls <= 0 {
			return r.at + w.span - now
		}
	}
	return 0
}

// usage is the two windows of one key.
type usage struct {
	minute, hour window
	newest       int64
}

func newUsage() usage {
	return usage{minute: window{span: time.Minute.Microseconds()}, hour: window{span: time.Hour.Microseconds()}}
}

// take counts up to n calls that will have happened by now+ahead, and says how many were admitted. The decision is that
// of the last of them, or of the refusal.
func (u *usage) take(now, ahead int64, n int, l Limit) (int, Decision) {
	now = u.advance(now)
	granted := min(n, u.room(l))
	if u.delay(now, l.Delay) > 0 {
		granted = 0
	}
	if granted > 0 {
		at := now + ahead
		if l.PerMinute > 0 {
			u.minute.add(at, granted, l.PerMinute)
		}
		if l.PerHour > 0 {
			u.hour.add(at, granted, l.PerHour)
		}
		u.newest = max(u.newest, now)
	}
	return granted, u.decide(now, granted > 0, l)
}

// advance forgets what has left and keeps time from running backwards within the reach of small clock steps.
func (u *usage) advance(now int64) int64 {
	if u.newest > now && u.newest-now < u.minute.span {
		now = u.newest
	}
	u.minute.forget(now)
	u.hour.forget(now)
	return now
}

func (u *usage) room(l Limit) int {
	minute, hour := left(&u.minute, l.PerMinute), left(&u.hour, l.PerHour)
	return min(minute, hour)
}

const unlimited = int(^uint(0) >> 1)

func left(w *window, limit int) int {
	if limit <= 0 {
		return unlimited
	}
	return max(limit-w.total, 0)
}

func (u *usage) decide(now int64, allowed bool, l Limit) Decision {
	d := Decision{Allowed: allowed, Limit: l.PerMinute}
	tighter := &u.minute
	if l.PerMinute <= 0 || left(&u.hour, l.PerHour) < left(&u.minute, l.PerMinute) {
		tighter = &u.hour
	}
	if l.PerMinute <= 0 {
		d.Limit = l.PerHour
	}
	d.Remaining = u.room(l)
	d.Reset = seconds(tighter.until(now, 1))
	if !allowed {
		micros := max(wait(&u.minute, now, l.PerMinute), wait(&u.hour, now, l.PerHour), u.delay(now, l.Delay))
		d.RetryAfter = max(seconds(micros), time.Second)
	}
	return d
}

// wait is the time until the window admits one more call; limits may have been lowered below what it holds.
func wait(w *window, now int64, limit int) int64 {
	if limit <= 0 || w.total < limit {
		return 0
	}
	return w.until(now, w.total-limit+1)
}

// delay is the time until a delay admits the next call.
func (u *usage) delay(now int64, d Delay) int64 {
	if d.Shortest <= 0 || u.hour.total < d.After || u.hour.total == 0 {
		return 0
	}
	step := d.Longest
	if doubled := u.hour.total - d.After; doubled < 16 {
		step = min(d.Shortest<<doubled, d.Longest)
	}
	return max(u.hour.runs[len(u.hour.runs)-1].at+step.Microseconds()-now, 0)
}

func seconds(micros int64) time.Duration {
	const second = int64(time.Second / time.Microsecond)
	return time.Duration((max(micros, 0)+second-1)/second) * time.Second
}

func (u *usage) refund(n int) {
	u.minute.back(n)
	u.hour.back(n)
}

// ends is when the last call leaves its longest window, in Unix microseconds; 0 where there is none.
func (u *usage) ends() int64 { return max(u.minute.ends(), u.hour.ends()) }

func (w *window) ends() int64 {
	if w.total == 0 {
		return 0
	}
	return w.runs[len(w.runs)-1].at + w.span
}

// idle reports whether nothing of the key is left to remember.
func (u *usage) idle(now int64) bool {
	u.minute.forget(now)
	u.hour.forget(now)
	return u.minute.total == 0 && u.hour.total == 0
}
