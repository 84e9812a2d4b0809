// Package delegation lets partners activate devices without their own account: an organisation buys credits and
// gets a secret master key for each product and operating system; with it, it makes slave keys for its customers. Each
// device that is activated for the first time costs one credit. The words are those of the API that package
// dialect/delegated serves. What is activated is a seat of a license, so that everything that is said of licenses
// holds.
package delegation

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Organisation is who activates devices, and how many.
type Organisation struct {
	// ID has 24 hexadecimal digits, as those of masters and slaves.
	ID   string
	Name string
	// TotalCredit is how many devices the organisation may activate in all, UsedCredit how many it has.
	TotalCredit, UsedCredit int
	CreatedAt               time.Time
}

// Master is a key of an organisation for one product and operating system; it makes slaves, and activates devices
// itself.
type Master struct {
	ID, OrganisationID string
	// LicenseID is the license whose seats the devices take.
	LicenseID string
	// Product is the code of the license's product.
	Product         string
	OperatingSystem string
	Comment         string
	CreatedAt       time.Time
	// RevokedAt is zero for a key that works.
	RevokedAt time.Time
}

// Slave is a key for one device, which may be given away.
type Slave struct {
	ID, OrganisationID, MasterID string
	Comment                      string
	// RuntimeKey is the only device that the key activates, empty before the first.
	RuntimeKey string
	CreatedAt  time.Time
	// UsedAt is zero before the first device.
	UsedAt time.Time
	// RevokedAt is zero for a key that works.
	RevokedAt time.Time
}

// The kinds of charges.
const (
	// ChargeCredit adds to the credits of an organisation, or takes some away.
	ChargeCredit = "credit"
	// ChargeActivation uses one for a device.
	ChargeActivation = "activation"
)

// Charge is one line of the account of an organisation.
type Charge struct {
	// ID is a UUID.
	ID, OrganisationID string
	Kind               string
	Amount             int
	// TotalCredit and UsedCredit are those of the organisation afterwards.
	TotalCredit, UsedCredit int
	// Reason is why credits were added, ActorID and ActorName who did it.
	Reason, ActorID, ActorName string
	Activated
	At time.Time
}

// Activated is what was activated; the zero value is nothing.
type Activated struct {
	MasterID string
	// SlaveID is empty for an activation by the master key.
	SlaveID                  string
	LicenseID                string
	Product, OperatingSystem string
	RuntimeKey               string
	// Token is what the device was given.
	Token string
}

// Key is a key that somebody sent.
type Key struct {
	Master Master
	// Slave is nil for a master key.
	Slave *Slave
}

// ID is that of the slave, or else of the master.
func (k *Key) ID() string {
	if k.Slave != nil {
		return k.Slave.ID
	}
	return k.Master.ID
}

// ended reports whether the key, or the master that it comes from, was revoked.
func (k *Key) ended() bool {
	return !k.Master.RevokedAt.IsZero() || k.Slave != nil && !k.Slave.RevokedAt.IsZero()
}

// Account is an organisation under lock together with what a change is about. Changes of Organisation and Key are
// written, and so is Made.
type Account struct {
	Organisation Organisation
	// Key is the one that the change names, nil for none.
	Key *Key
	// Known is the charge for the device that the change names, nil where it was never charged for.
	Known *Charge
	// Made is a charge to be written, nil for none.
	Made   *Charge
	events []proto.Message
}

// Emit adds an event, written when the change is.
func (a *Account) Emit(msg proto.Message) { a.events = append(a.events, msg) }

// Events returns what was emitted, in order.
func (a *Account) Events() []proto.Message { return a.events }

// The lengths of keys, in bytes before they are written in base64: clients have room for them.
const (
	masterBytes = 43
	slaveBytes  = 104
)

// newKey makes a key of n random bytes.
func newKey(n int) string {
	random := make([]byte, n)
	rand.Read(random) // never fails: it ends the program instead
	return base64.StdEncoding.EncodeToString(random)
}

// WellFormed reports whether newKey can have made a key. Those of other systems may be easier to guess.
func WellFormed(key string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(key)
	return err == nil && (len(raw) == masterBytes || len(raw) == slaveBytes)
}

// newID makes the id of an organisation, master or slave.
func newID() string {
	var random [12]byte
	rand.Read(random[:])
	return hex.EncodeToString(random[:])
}

// Sum is the form in which keys are stored.
type Sum = [32]byte

// SumOf hashes a key. Keys are random and long, so that the hash needs no secret.
func SumOf(key string) Sum { return secret.Hash(key) }

// Same compares sums in a time that tells nothing about them.
func Same(stored []byte, sum Sum) bool { return subtle.ConstantTimeCompare(stored, sum[:]) == 1 }

// Lengths of keys that can be one, in characters; those of other systems are at least as long.
const (
	minKey = 40
	maxKey = 1024
)

// PlausibleLength reports whether text is as long as keys are; nothing else is looked up.
func PlausibleLength(text string) bool { return len(text) >= minKey && len(text) <= maxKey }
