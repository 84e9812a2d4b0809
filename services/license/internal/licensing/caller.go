package licensing

import (
	"context"
	"net/netip"
	"time"
)

// Caller is a client with what was found of it before its license is locked: under the lock nothing waits for another
// statement. The zero value is one of which nothing is asked.
type Caller struct {
	*Client
	geo    Geo
	blocks BlockSet
	// released is when the application's version came out, where the verdict depends on that.
	released time.Time
	// leased tells of a live lease that is as good as a seat.
	leased bool
}

// Caller is that of a client of a license. Errors: ErrNotFound.
func (s *Seats) Caller(ctx context.Context, licenseID string, c *Client) (Caller, error) {
	caller, err := s.caller(ctx, c)
	if err == nil {
		caller.released, err = s.releaseOf(ctx, licenseID, c.AppVersion)
	}
	return caller, err
}

// HolderOf is Caller for a client who proves by a token that it had a seat, or a lease that needs one.
func (s *Seats) HolderOf(ctx context.Context, licenseID string, c *Client) (Caller, error) {
	c.Holder = true
	l, _, err := s.Lookup.License(ctx, licenseID)
	if err == nil && l.productRules().ByUser {
		err = s.representSeat(ctx, l, c)
	}
	if err != nil {
		return Caller{}, err
	}
	return s.Caller(ctx, licenseID, c)
}

func (s *Seats) representSeat(ctx context.Context, l *License, c *Client) error {
	if l.rules().Match != MatchNone {
		if err := s.rename(ctx, l, c); err != nil {
			return err
		}
	}
	d, _, err := s.Lookup.ActiveDevice(ctx, l.ID, c.HardwareID)
	if err != nil || d == nil {
		return err
	}
	return s.represent(ctx, l, c, d.TakenBy().UserID)
}

// caller is Caller without the release, for which the license has to be looked up.
func (s *Seats) caller(ctx context.Context, c *Client) (Caller, error) {
	blocks, err := s.Blocks.Current(ctx)
	return Caller{Client: c, geo: s.Geo, blocks: blocks}, err
}

// Asks is what the caller asks of a license; d is its device, nil where the license has none of it.
func (c Caller) Asks(o Operation, l *License, d *Device, now time.Time) Request {
	r := Request{Operation: o, License: l, Device: d, Seated: c.leased || d != nil && d.IsActive, Now: now}
	if c.Client == nil {
		r.Trusted = true
		return r
	}
	r.HardwareID, r.AppVersion, r.ReleasedAt = c.HardwareID, c.AppVersion, c.released
	if d != nil && d.IsActive {
		r.ElsewhereUntil = d.offlineElsewhere(c.HardwareID, now)
	}
	if d != nil && !d.IsActive && o&OperationActivate == 0 {
		d = nil // a device without a seat is nobody to those who do not give it one
	}
	deviceID := ""
	if d != nil {
		deviceID = d.ID
	}
	r.of(c.Client, d.owner())
	r.Around, r.Enrollment = c.around(l, deviceID, now), c.Enrolled(d)
	if c.leased && d == nil && r.Enrollment != nil {
		r.Enrollment.Foreign = true // an enrollment key knows its devices by their seats
	}
	return r
}

// around are the surroundings of the caller, nil where nothing of them is asked: a plain license costs nothing where
// nobody has blocked anything. deviceID is empty for a device that the license does not have.
func (c Caller) around(l *License, deviceID string, now time.Time) *Surroundings {
	block := c.block(l, deviceID, now)
	if block == nil && l.Devices == nil {
		return nil
	}
	around := &Surroundings{Block: block, IsVM: c.IsVM}
	if addr, err := netip.ParseAddr(c.IP); err == nil {
		around.Addr = addr.Unmap().WithZone("")
	}
	if c.geo != nil && around.Addr.IsValid() && l.rules().Countries != nil {
		around.Country, around.Located = c.geo.Country(around.Addr), true
	}
	return around
}

// unasked are the names of the checks that could refuse the caller if only its address were known.
func (c Caller) unasked(l *License, now time.Time) (names []string) {
	if _, err := netip.ParseAddr(c.IP); err == nil {
		return nil
	}
	suspect := Suspect{LicenseID: l.ID, Product: l.Product, Now: now}
	if c.blocks != nil && c.blocks.FindNetwork(suspect) != nil {
		names = append(names, checkBlocks)
	}
	if rules := l.rules(); rules.Networks != nil || rules.Countries != nil && c.geo != nil {
		names = append(names, checkEnvironment)
	}
	return names
}

// block is what blocks the caller, nil for nothing.
func (c Caller) block(l *License, deviceID string, now time.Time) *Block {
	if c.blocks == nil {
		return nil
	}
	return c.blocks.Find(Suspect{
		LicenseID:  l.ID,
		Product:    l.Product,
		HardwareID: c.HardwareID,
		DeviceID:   deviceID,
		IP:         c.IP,
		Components: c.Components,
		Now:        now,
	})
}
