package app

import "time"

// How far clocks may differ: service tokens are taken up to tooFar, time-based rules differ by less than unequal.
const (
	unequal = 2 * time.Second
	tooFar  = 10 * time.Second
)

// clock judges how far the clock of this computer is from another's.
func (d *Diagnosis) clock(what, whose string, skew time.Duration) {
	const remedy = "have both set their clocks by NTP (timedatectl set-ntp true, chronyc tracking)"
	skew = skew.Round(time.Second)
	switch {
	case skew.Abs() >= tooFar:
		d.Fail(what, remedy, "the clock of %s differs by %v", whose, skew)
	case skew.Abs() >= unequal:
		d.Warn(what, remedy, "the clock of %s differs by %v", whose, skew)
	default:
		d.OK(what, "agrees with this computer's")
	}
}
