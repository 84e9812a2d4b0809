package credential

import "github.com/latchkey-dev/latchkey/pkg/refusal"

// refused notes the refusal of a token of family f, which has no ID where the token is not known to be ours, and returns err.
func (s *Service) refused(err error, from Caller, f Family) error {
	return s.Refusals.Note(err, refusal.Token{Chain: f.ID, LicenseID: f.LicenseID, HardwareID: f.HardwareID, IP: from.IP})
}
