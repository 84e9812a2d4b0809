package detect

import (
	"fmt"
	"math/bits"
	"slices"
	"time"
)

const (
	// networksPerDay (s) is how many networks a device must be used on in a day, on spreadDays days of 7, to be more
	// than one computer, whatever sessions it has; spreadBurst times as many are told at once. A laptop has home,
	// office, a phone, a VPN, all of them in two families; of a carrier, which gives each call another address, ranges
	// count.
	networksPerDay = 10
	spreadDays     = 2
	spreadBurst    = 2
	// settledAfter is how long a device must be on one network alone to have moved there: a start of the application
	// shows once or twice within seconds, a build job or a phone that got a new address goes on for minutes.
	settledAfter = time.Minute
	// maxSpread caps the networks that are counted of a device in a day, allSpread those of all devices.
	maxSpread = 32
	allSpread = 224
)

// counted is what of a network counts among those of a day: its vicinity, or the carrier, as its addresses change.
func (p place) counted() uint64 {
	if p.Kind == kindMobile && p.ASN != 0 {
		return p.ASN
	}
	return p.vicinity()
}

// visit counts the network among those of the day, until the device has stayed on it: one network after another, each
// for some time, is a phone, a traveler, or jobs that are called by one name. What comes late ends no stay.
func (r *runner) visit(network uint64, at int64, late bool) {
	switch {
	case late && network == r.Left:
	case network != r.Here:
		added := len(r.Networks) < maxSpread && !slices.Contains(r.Networks, network)
		if added {
			r.Networks = append(r.Networks, network)
		}
		if late {
			return
		}
		r.Here, r.Left, r.Came = network, r.Here, 0
		if added {
			r.Came = at
		}
	case r.Came != 0 && at-r.Came > micros(settledAfter):
		r.Networks = slices.DeleteFunc(r.Networks, func(n uint64) bool { return n == network })
		r.Came = 0
	}
}

// spreads counts the networks that a device was used on in a day, and judges each use on a day with many.
func (m *sharing) spreads(st *step) {
	r := m.runner(st)
	day := dayOf(st.at)
	if r == nil || day < r.Day {
		return
	}
	if day > r.Day {
		r.Spread = r.Spread << min(day-r.Day, 7) & 0x7f
		r.Day, r.Networks, r.Here, r.Left = day, nil, 0, 0
	}
	late := st.at < r.All.Last
	if !late {
		r.All.tick(st.at)
	}
	before := len(r.Networks)
	r.visit(st.place.counted(), st.at, late)
	n := len(r.Networks)
	if !st.reaches(n, networksPerDay) {
		return
	}
	r.Spread |= 1
	if n > before {
		st.note(sharingSpread, week)
	}
	score, burst := excess(scoreExcess, float64(n), st.limit(networksPerDay)), st.reaches(n, spreadBurst*networksPerDay)
	if burst {
		score += scoreWorse
	}
	days := bits.OnesCount64(r.Spread)
	if !burst && days < spreadDays {
		return
	}
	allowed := st.under(networksPerDay)
	m.raise(st, score, func(f *Finding) { describeSpread(f, n, days, allowed) })
}

func describeSpread(f *Finding, networks, days int, allowed float64) {
	f.Observed = fmt.Sprintf("%s in a day", count(networks, "network"))
	if networks == maxSpread {
		f.Observed = fmt.Sprintf("%s or more in a day", count(networks, "network"))
	}
	f.Reason = fmt.Sprintf("The same hardware id was in use on %s; days of the last 7 with that many: %d.",
		f.Observed, days)
	f.Expected = Expected{High: allowed}
	f.Considered = []string{
		"travel, a phone's connection, a VPN: these are a few networks a day",
		"a mobile carrier's pool: addresses of one range (/16, or /32 of IPv6) were taken as one",
		"build jobs, a phone that roams: networks on which the device stayed for a minute or more were left out",
	}
	f.Suggestion = "Deactivate the device and ask the customer to activate again: a copied installation will then show."
}
