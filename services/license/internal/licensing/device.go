package licensing

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/uid"
)

// Device is a computer, phone or container that has, or once had, a seat on a license.
type Device struct {
	// ID is a UUID, and stays the same when the device comes back.
	ID        string
	LicenseID string
	// HardwareID is what the client calls itself; unique within the license.
	HardwareID string
	Profile
	// SessionData is the JSON object of the last heartbeat, nil before the first, also in an answer that is kept as
	// JSON.
	SessionData json.RawMessage `json:",omitempty"`
	IsActive    bool
	ActivatedAt time.Time
	// ActivatedVersion is the Version of the license with which the device took its seat: its tokens of earlier
	// versions are those of a seat that it has left.
	ActivatedVersion int
	// LastSeenAt may lag by two seconds, because it is written in batches.
	LastSeenAt    time.Time
	DeactivatedAt time.Time
	// FirstActivatedAt is zero for a device that came by the short way of activation.
	FirstActivatedAt time.Time
	// Label is what a person calls the device, Variables what the application keeps with it.
	Label     string
	Variables map[string]string `json:",omitempty"`
	// rebound tells that the device has just been recognized under its hardware id.
	rebound bool
	// Components are to be stored, as hashes; nil leaves those that are.
	Components map[string]string `json:",omitempty"`
	// PublicKey is the Ed25519 key that signs the device's usage reports, nil for none.
	PublicKey []byte `json:",omitempty"`
	// OfflineUntil is when the last offline token of the device's seat ends; zero if it has none that is not void.
	OfflineUntil time.Time
	// TokensUntil is OfflineUntil without what the device can give back.
	TokensUntil time.Time
	// OfflineHorizon is when the last of all ends that the device ever got for use without the server, license files
	// included. It outlives the seat: until then a revocation list has to name the device.
	OfflineHorizon time.Time
	// OfflineHardwareID is the hardware id for which OfflineHorizon was given, empty where it is HardwareID.
	OfflineHardwareID string
	// FormerIDs are the hardware ids that the device had before, the latest first. Lists and reads by id alone have
	// them.
	FormerIDs []string `json:",omitempty"`
	// UserID is the user who took the seat, empty for a license key.
	UserID string
	// EnrollmentKeyID is the enrollment key by which the device took its seat, empty for a license key.
	EnrollmentKeyID string
}

func (d *Device) active() *ActiveDevice {
	active := &ActiveDevice{ActivatedVersion: d.ActivatedVersion, Profile: d.Profile}
	active.ID, _ = uid.Bytes(d.ID) // made by newID
	if by := (SeatBy{d.owner(), d.EnrollmentKeyID}); by != (SeatBy{}) {
		active.By = &by
	}
	return active
}

// owner is the user who has taken the seat of the device, empty for none.
func (d *Device) owner() string {
	if d == nil || !d.IsActive {
		return ""
	}
	return d.UserID
}

// HoldsOfflineToken reports whether the device may still run without the server.
func (d *Device) HoldsOfflineToken(now time.Time) bool {
	return now.Before(d.OfflineUntil)
}

// Profile is what a device last said of itself; empty members were never said.
type Profile struct {
	Name, OSName, OSVersion, AppVersion string
}

// With is p after the device has said more; what it leaves out stays, except the version of an operating system that it
// no longer has.
func (p Profile) With(said Profile) Profile {
	if said.OSName != "" && said.OSName != p.OSName {
		p.OSVersion = ""
	}
	return Profile{
		Name:       cmp.Or(said.Name, p.Name),
		OSName:     cmp.Or(said.OSName, p.OSName),
		OSVersion:  cmp.Or(said.OSVersion, p.OSVersion),
		AppVersion: cmp.Or(said.AppVersion, p.AppVersion),
	}
}

// Client is what an application says of itself and of the device that it runs on. All but HardwareID is optional.
type Client struct {
	HardwareID string
	// Enrollment is the enrollment key that the call came by, nil for a license key. The look-up of the key sets it.
	Enrollment *EnrollmentKey
	DeviceName string
	OSName     string
	OSVersion  string
	AppVersion string
	SessionID  string
	// Components are what the device is made of, by name; placeholders are left out.
	Components map[string]string
	// IsVM tells that the client says it runs in a virtual machine.
	IsVM bool
	// Variables are what an activation sets, nil for nothing.
	Variables map[string]string
	// PublicKey is the key that is to sign the device's usage reports; nil leaves the one that it has.
	PublicKey []byte
	// Time is the client's own clock, zero if it sent none.
	Time time.Time
	// User is who signed in, nil for a call by a license key.
	User *SignedIn
	// Holder tells of a call by a token that the device was given while it had its seat: it stands for the sign-in of
	// the user who took the seat, as whom the use cases put it into User.
	Holder bool
	// Trusted tells of a call by an administrator, of whom no user is asked.
	Trusted bool
	// Repeats tells that the client's protocol answers a device that has its seat as if it had just got it: such an
	// activation is published as a validation.
	Repeats bool
	// IP is the address that the call came from; ViaProxy says that it may be that of a proxy which nobody named.
	IP       string
	ViaProxy bool
	// Product is the code of the product that the application asks for, empty for any: a license of another is not
	// found.
	Product string
	// takes is the hardware id that the device takes with a call that is allowed, because it was recognized by its
	// components; empty for none. HardwareID is that of before then.
	takes string
	// BoundProduct is the code of the product to which the caller is bound, empty for any: to the caller, no others
	// exist.
	BoundProduct string
}

// profile is what the client says of the device.
func (c *Client) profile() Profile {
	return Profile{Name: c.DeviceName, OSName: c.OSName, OSVersion: c.OSVersion, AppVersion: c.AppVersion}
}

// OS is name and version with a blank between.
func (c *Client) OS() string {
	if c.OSName == "" || c.OSVersion == "" {
		return c.OSName + c.OSVersion
	}
	return c.OSName + " " + c.OSVersion
}
