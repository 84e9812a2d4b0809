package ratelimit

import (
	"encoding/binary"
	"errors"
)

// encode writes the usage for a database row: its newest moment, then per window the number of runs and each run's
// distance to the one before and its calls, all as varints.
func (u *usage) encode() []byte {
	b := binary.AppendVarint(nil, u.newest)
	for _, w := range []*window{&u.minute, &u.hour} {
		runs := w.runs[w.head:]
		b = binary.AppendUvarint(b, uint64(len(runs)))
		before := int64(0)
		for _, r := range runs {
			b = binary.AppendVarint(b, r.at-before)
			b = binary.AppendUvarint(b, uint64(r.n))
			before = r.at
		}
	}
	return b
}

var errDamaged = errors.New("ratelimit: a stored window is damaged")

// decodeUsage reads what encode wrote; no bytes are an unused key.
func decodeUsage(b []byte) (usage, error) {
	u := newUsage()
	if len(b) == 0 {
		return u, nil
	}
	in := reader{b: b}
	u.newest = in.signed()
	for _, w := range []*window{&u.minute, &u.hour} {
		before := int64(0)
		for range in.count() {
			r := run{at: before + in.signed(), n: in.count()}
			if in.bad {
				return newUsage(), errDamaged
			}
			w.runs = append(w.runs, r)
			w.total += r.n
			before = r.at
		}
	}
	if in.bad || len(in.b) > 0 {
		return newUsage(), errDamaged
	}
	return u, nil
}

// reader reads varints until the first that is damaged.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.b)
	return take(r, v, n)
}

// count reads a number of runs or calls; none can be larger than the largest int32.
func (r *reader) count() int {
	v, n := binary.Uvarint(r.b)
	if v = take(r, v, n); v > 1<<31-1 {
		r.bad = true
		return 0
	}
	return int(v)
}

func take[T int64 | uint64](r *reader, v T, n int) T {
	if n <= 0 || r.bad {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}
