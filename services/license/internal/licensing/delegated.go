package licensing

import (
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Delegation is the activation of a device by a delegated key, as far as events tell of it.
type Delegation struct {
	OrganisationID, MasterID string
	// SlaveID is empty for the key of the master.
	SlaveID                 string
	TotalCredit, UsedCredit int
}

// SeatForDelegation gives a device a seat, unless it has one, for a token without an end: for EndlessOffline the seat
// is not freed by the device, and revocation lists name it. told is nil for an activation that has no event of its own.
// Errors: those of Activate, and the verdict on a file.
func (ch *Change) SeatForDelegation(c Caller, told *Delegation, now time.Time) (*Device, error) {
	d, err := ch.SeatForFile(c, now)
	if err != nil {
		return nil, err
	}
	ch.holdOffline(d, now.Add(EndlessOffline))
	if told != nil {
		ch.Emit(&eventsv1.LicenseDelegated{
			LicenseId:    ch.License.ID,
			HardwareId:   d.HardwareID,
			Organisation: told.OrganisationID,
			Master:       told.MasterID,
			Slave:        told.SlaveID,
			TotalCredit:  int32(told.TotalCredit),
			UsedCredit:   int32(told.UsedCredit),
			Ip:           c.IP,
			ViaProxy:     c.ViaProxy,
			Version:      int32(ch.License.Version),
			License:      Snapshot(&ch.License, now),
		})
	}
	return d, nil
}
