package licensing

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// minCompared is how many components must be known on both sides: one alone recognizes nobody.
const minCompared = 2

// Recognizes reports whether so many equal ones of the components compared are enough.
func (m DeviceMatch) Recognizes(equal, compared int) bool {
	if compared < minCompared {
		return false
	}
	switch m {
	case MatchAny:
		return equal >= 1
	case MatchTwo:
		return equal >= 2
	case MatchMost:
		return 2*equal > compared
	case MatchAll:
		return equal == compared
	}
	return false
}

// RealComponents are those that tell a device from others: without those of no value, and placeholders of firmware.
func RealComponents(said map[string]string) map[string]string {
	var found map[string]string
	for name, value := range said {
		if value == "" || isPlaceholder(value) {
			continue
		}
		if found == nil {
			found = make(map[string]string, len(said))
		}
		found[name] = value
	}
	return found
}

// Bounds of what a device says of its components.
const (
	maxComponents    = 16
	maxComponentName = 64
)

// ComponentsProblems notes what is wrong with components, by the name of their member.
func ComponentsProblems(p map[string]string, name string, said map[string]string) {
	if len(said) > maxComponents {
		p[name] = fmt.Sprintf("must have at most %d members", maxComponents)
		return
	}
	for component, value := range said {
		ComponentProblems(p, name, Component{component, value})
	}
}

// ComponentProblems is ComponentsProblems for one of them.
func ComponentProblems(p map[string]string, name string, c Component) {
	if n := utf8.RuneCountInString(c.Name); n < 1 || n > maxComponentName || strings.ContainsRune(c.Name, 0) {
		p[name] = fmt.Sprintf("each name must have 1 to %d characters", maxComponentName)
	}
	if n := utf8.RuneCountInString(c.Value); n > maxText {
		p[name] = fmt.Sprintf("each value must have at most %d characters", maxText)
	}
}

// recognize is the device with a seat that has, or had, the hardware id of a client, or that has its components; nil
// for none. The license must ask for it. One that is recognized again has the id of before: Rebound gives it that of
// the client. Errors: the verdicts on its use.
func (s *Seats) recognize(ctx context.Context, l *License, c *Client, now time.Time) (
	hardwareID string, d *ActiveDevice, err error,
) {
	if isPlaceholder(c.HardwareID) {
		return "", nil, nil
	}
	if hardwareID, err = s.Lookup.Alias(ctx, l.ID, c.HardwareID); err != nil {
		return "", nil, err
	}
	if hardwareID != "" {
		d, _, err = s.Lookup.ActiveDevice(ctx, l.ID, hardwareID)
		return hardwareID, d, err
	}
	if len(c.Components) < minCompared {
		return "", nil, nil
	}
	caller, err := s.Caller(ctx, l.ID, c)
	if err != nil {
		return "", nil, err
	}
	ch, err := s.Store.Peek(ctx, l.ID, []string{c.HardwareID})
	if err != nil {
		return "", nil, err
	}
	found, err := ch.matching(c)
	if err != nil || found == nil || !found.Device.IsActive {
		return "", nil, err
	}
	c.takes = c.HardwareID
	return found.Device.HardwareID, found.Device.active(), ch.usable(caller, found.Device, now)
}

// usable is the verdict on the use of a device by a client that was recognized as it.
func (ch *Change) usable(c Caller, d *Device, now time.Time) error {
	if err := ch.represent(c.Client, d); err != nil {
		return err
	}
	return Decide(c.Asks(OperationUse, &ch.License, d, now))
}

// Rebound runs fn for a client whose device, if it was recognized again, has taken the client's hardware id, which the
// client has then, too. Where fn fails the device has not: a refusal writes nothing. Errors: those of fn, the verdicts
// on the use of the device.
func (s *Seats) Rebound(ctx context.Context, licenseID string, c *Client, fn func(ctx context.Context) error) error {
	if c.takes == "" {
		return fn(ctx)
	}
	c.HardwareID, c.takes = c.takes, ""
	caller, err := s.Caller(ctx, licenseID, c)
	if err != nil {
		return err
	}
	err = s.Store.InTransaction(ctx, func(ctx context.Context) error {
		err := s.Store.Change(ctx, licenseID, []string{c.HardwareID}, func(ch *Change) error {
			now := s.Clock.Now()
			d, err := ch.device(c, now)
			if err != nil {
				return err
			}
			return ch.usable(caller, d, now)
		})
		if err != nil {
			return err
		}
		return fn(ctx)
	})
	if err != nil { // fn may have read what is not written now
		s.Lookup.Forget(licenseID, c.HardwareID)
	}
	return err
}

// Recognized is Caller for a use case that recognizes no device under the lock, and that goes on within Rebound: the
// client gets the hardware id that its device has now. Errors: ErrNotFound, the verdicts on the use of a device that is
// recognized again.
func (s *Seats) Recognized(ctx context.Context, licenseID string, c *Client) (Caller, error) {
	l, _, err := s.Lookup.License(ctx, licenseID)
	if err == nil && l.rules().Match != MatchNone {
		err = s.rename(ctx, l, c)
	}
	if err != nil {
		return Caller{}, err
	}
	return s.Caller(ctx, licenseID, c)
}

// Unrecognized reports whether a client without a seat may be a device that the license, which recognizes them, calls
// otherwise.
func (ch *Change) Unrecognized(c *Client) bool {
	d := ch.Devices[c.HardwareID]
	return ch.License.rules().Match != MatchNone && (d == nil || !d.IsActive)
}

func (s *Seats) rename(ctx context.Context, l *License, c *Client) error {
	d, _, err := s.Lookup.ActiveDevice(ctx, l.ID, c.HardwareID)
	if err != nil || d != nil {
		return err
	}
	hardwareID, d, err := s.recognize(ctx, l, c, s.Clock.Now())
	if d != nil {
		c.HardwareID = hardwareID
	}
	return err
}

// RecognizedForUse is Recognized for the use of a license, where a live lease may be as good as a seat.
func (s *Seats) RecognizedForUse(ctx context.Context, licenseID string, c *Client) (Caller, error) {
	caller, err := s.Recognized(ctx, licenseID, c)
	if err != nil {
		return Caller{}, err
	}
	l, _, err := s.Lookup.License(ctx, licenseID)
	if err == nil && l.LeaseIsSeat() {
		var leased *ActiveDevice
		leased, err = s.Lookup.LeasedDevice(ctx, licenseID, c.HardwareID)
		caller.leased = leased != nil
	}
	return caller, err
}

// device is the device of a client, nil for one that is new to the license. By how many former ids it stays known is
// maxAliases (store/device.go). One that is recognized by its components alone takes the hardware id of the client.
func (ch *Change) device(c *Client, now time.Time) (*Device, error) {
	if ch.License.rules().Match == MatchNone || isPlaceholder(c.HardwareID) {
		return ch.Devices[c.HardwareID], nil
	}
	if d, err := ch.called(c.HardwareID, now); err != nil || d != nil {
		return d, err
	}
	best, err := ch.matching(c)
	if err != nil || best == nil {
		return nil, err
	}
	ch.rebind(best, c, now)
	return best.Device, nil
}

// matching is the device that a client is by its components, nil for none.
func (ch *Change) matching(c *Client) (*Match, error) {
	if len(c.Components) < minCompared {
		return nil, nil
	}
	candidates, err := ch.Reads.Matching(c.Components)
	if err != nil {
		return nil, err
	}
	return ch.License.rules().Match.best(candidates), nil
}

// called is the device that has, or had, a hardware id; nil for none. One that lost its seat while it could run without
// the server is not the one that calls itself otherwise.
func (ch *Change) called(hardwareID string, now time.Time) (*Device, error) {
	if d := ch.Devices[hardwareID]; d != nil {
		return d, nil
	}
	d, err := ch.Reads.ByAlias(hardwareID)
	if err != nil || d == nil || !d.IsActive && now.Before(d.OfflineHorizon) {
		return nil, err
	}
	if known := ch.Devices[d.HardwareID]; known != nil {
		return known, nil // one copy of a device is changed, not two
	}
	ch.Devices[d.HardwareID] = d
	return d, nil
}

// best is the candidate that is recognized: one with a seat rather than one without, then the one with the most equal
// components, then the one seen last. Nil for none.
func (m DeviceMatch) best(candidates []Match) (best *Match) {
	for i := range candidates {
		c := &candidates[i]
		if m.Recognizes(c.Equal, c.Compared) && (best == nil || c.before(best)) {
			best = c
		}
	}
	return best
}

func (m *Match) before(other *Match) bool {
	switch {
	case m.Device.IsActive != other.Device.IsActive:
		return m.Device.IsActive
	case m.Equal != other.Equal:
		return m.Equal > other.Equal
	}
	return m.Device.LastSeenAt.After(other.Device.LastSeenAt)
}

// rebind gives a device the hardware id that a client calls it by; its former ones stay known.
func (ch *Change) rebind(m *Match, c *Client, now time.Time) {
	d, from := m.Device, m.Device.HardwareID
	delete(ch.Devices, from)
	d.OfflineHardwareID = cmp.Or(d.OfflineHardwareID, from)
	d.HardwareID, d.Components, d.rebound = c.HardwareID, c.Components, true
	if d.offlineElsewhere(d.HardwareID, now).IsZero() {
		d.OfflineHardwareID = ""
	}
	ch.Devices[d.HardwareID] = d
	ch.License.touch(now)
	ch.Emit(&eventsv1.DeviceRebound{
		LicenseId:      ch.License.ID,
		DeviceId:       d.ID,
		HardwareId:     d.HardwareID,
		FromHardwareId: from,
		Matched:        int32(m.Equal),
		Compared:       int32(m.Compared),
		Ip:             c.IP,
		ViaProxy:       c.ViaProxy,
		CurrentDevices: int32(ch.License.CurrentDevices),
		MaxDevices:     int32(ch.License.MaxDevices),
		Version:        int32(ch.License.Version),
		License:        Snapshot(&ch.License, now),
	})
}
