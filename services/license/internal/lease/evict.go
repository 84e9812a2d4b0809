package lease

import (
	"slices"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// evictable are the leases that may lose their slots to others, longest unseen first.
func (p *Pool) evictable() (free []*Lease) {
	if f := p.License.Floating; f == nil || f.Overflow != licensing.OverflowEvictOldest {
		return nil
	}
	for _, l := range p.Evictable {
		if l.live(p.Now) && !l.borrowed(p.Now) {
			free = append(free, l)
		}
	}
	slices.SortStableFunc(free, func(a, b *Lease) int { return a.LastSeenAt.Compare(b.LastSeenAt) })
	return free
}

// excess is how many leases must go for one more.
func (p *Pool) excess() int { return max(p.InUse-p.License.Floating.Slots+1, 0) }

// makeRoom ends leases for another, which the verdict has allowed.
func (p *Pool) makeRoom(forLease string) {
	if p.excess() == 0 {
		return
	}
	for _, l := range p.evictable()[:p.excess()] {
		l.end(Evicted, p.Now)
		p.InUse--
		p.unclaim(l)
		p.change(l)
		p.Emit(evictedEvent(p, l, forLease))
	}
}
