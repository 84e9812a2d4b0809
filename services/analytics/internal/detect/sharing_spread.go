package detect

import "fmt"

const (
	// networksPerDay (s) is how many networks a device must be used on in a day, on spreadDays days of 7, to be more
	// than one computer, whatever sessions it has; spreadBurst times as many are told at once. A laptop has home,
	// office, a phone, a VPN, all of them in two families; of a carrier, which gives each call another address, ranges
	// count.
	networksPerDay = 10
	spreadDays     = 2
	spreadBurst    = 2
	// maxSpread caps the networks that are counted of a device in a day, allSpread those of all devices.
	maxSpread = 32
	allSpread = 320
)

// counted is what of a network counts among those of a day: its vicinity, or the carrier, as its addresses change.
func (p place) counted() uint64 {
	if p.Kind == kindMobile && p.ASN != 0 {
		return p.ASN
	}
	return p.vicinity()
}

// spreads counts the networks that a device was used on in a day, and judges each use on a day with many.
func (m *sharing) spreads(st *step) {
	r := m.runner(st)
	switch day := dayOf(st.at); {
	case r == nil || day < r.Day:
		return
	case day > r.Day:
		r.Day, r.Networks = day, nil
	}
	before := len(r.Networks)
	r.Last = max(r.Last, st.at)
	if before < maxSpread {
		r.Networks = addDistinct(r.Networks, st.place.counted())
	}
	n := len(r.Networks)
	if !st.reaches(n, networksPerDay) {
		return
	}
	if !st.reaches(before, networksPerDay) {
		r.Spread = addDay(r.Spread, dayOf(st.clock), r.Day, 1)
	}
	if n > before {
		st.note(sharingSpread, week)
	}
	score, burst := excess(scoreExcess, float64(n), st.limit(networksPerDay)), st.reaches(n, spreadBurst*networksPerDay)
	if burst {
		score += scoreWorse
	}
	days := len(r.Spread)
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
	}
	f.Suggestion = "Deactivate the device and ask the customer to activate again: a copied installation will then show."
}
