package usage

import (
	"strings"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
)

// Anyone who tries keys has shown no credential, and may have any number of addresses: their anomalies must not hide
// those of licenses.
const (
	// MaxAddresses is how many anomalies of addresses are open at a time, besides the one of OtherAddresses.
	MaxAddresses = 100
	// OtherAddresses is the subject of the anomaly into which further addresses are counted.
	OtherAddresses = "ip:others"
)

// gathered is a finding about an address that no anomaly is about: the one that is open for its network takes it in,
// and where too many are open, one takes in all further ones. Their words name no single address, so that erasing an
// address finds all that names it.
func (l *ledger) gathered(f *detect.Finding) *detect.Finding {
	network, open := detect.NetworkOf(f.Subject), 0
	for _, e := range l.entries {
		a := e.anomaly
		if a.LicenseID != "" || a.Subject == OtherAddresses || !l.now.Before(a.LastSeen.Add(EpisodeGap)) {
			continue
		}
		open++
		if a.Status != StatusFalsePositive && detect.NetworkOf(a.Subject) == network {
			if joined := renamed(f, a.Subject, network); a.continuedBy(joined) {
				return joined
			}
		}
	}
	if open < MaxAddresses {
		return f
	}
	return renamed(f, OtherAddresses, "an address of a further network")
}

// renamed is a finding as one about another subject, with words for its address.
func renamed(f *detect.Finding, subject, words string) *detect.Finding {
	other := *f
	_, address, _ := strings.Cut(f.Subject, ":")
	other.Subject, other.Reason = subject, strings.ReplaceAll(f.Reason, address, words)
	return &other
}
