package licensing

import (
	"context"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
)

// Lookup answers the hot path: from memory where it can (cached), from the database otherwise. What it returns is
// shared and must not be changed. Its licenses have no MaskedKey, which management alone shows: many are kept.
type Lookup interface {
	// LicenseByKey finds a license by a normalized key; ErrNotFound, as FormerKeyError of a key that has ended. e is
	// not nil for an enrollment key, which may have ended.
	LicenseByKey(ctx context.Context, key string) (l *License, e *EnrollmentKey, cached bool, err error)
	// IDByKey is LicenseByKey for the id of the license alone.
	IDByKey(ctx context.Context, key string) (licenseID string, e *EnrollmentKey, err error)
	// License finds a license by its id; ErrNotFound.
	License(ctx context.Context, id string) (l *License, cached bool, err error)
	// ActiveDevice finds a device that holds a seat; nil when it holds none.
	ActiveDevice(ctx context.Context, licenseID, hardwareID string) (d *ActiveDevice, cached bool, err error)
	// LeasedDevice finds a device with a live lease, by the lease's id, and always asks the database; nil when it has
	// none.
	LeasedDevice(ctx context.Context, licenseID, hardwareID string) (*ActiveDevice, error)
	// Alias is the hardware id that the device has now which had this one before; empty for none.
	Alias(ctx context.Context, licenseID, hardwareID string) (string, error)
	// ReleasedAt is when a version of a product came out, zero for one that nobody listed.
	ReleasedAt(ctx context.Context, product, version string) (time.Time, error)
	// Forget drops what memory holds of a license and one of its devices, so that the next look-up asks the database.
	Forget(licenseID, hardwareID string)
	// KeyHash is the keyed hash of a normalized key in hexadecimal, for events about keys that nobody has.
	KeyHash(key string) string
}

// ActiveDevice is what the hot path knows of a device that holds a seat.
type ActiveDevice struct {
	// ID takes a third of the memory of its text: many devices are kept.
	ID uuid.UUID
	// ActivatedVersion is as in Device.
	ActivatedVersion int
	Profile
	// By is nil for a seat that was taken by the license key alone, as most are: many devices are kept in memory.
	By *SeatBy
}

// SeatBy is what a seat was taken by: the members are those of Device.
type SeatBy struct{ UserID, EnrollmentKeyID string }

// TakenBy is the zero value for a seat that was taken by the license key alone, and for no device.
func (d *ActiveDevice) TakenBy() SeatBy {
	if d == nil || d.By == nil {
		return SeatBy{}
	}
	return *d.By
}

// Users knows users by their ids, from memory where it can.
type Users interface {
	// User is nil for none.
	User(ctx context.Context, id string) (*User, error)
}

// Store keeps licenses and devices. Every method that changes something writes the events of the change in the same
// transaction.
type Store interface {
	// Create inserts licenses with their keys; errs[i] is ErrKeyExists where row i's key is taken, ErrUnknownGroup or a
	// GroupError where its group does not take it, and then nothing of that row is written.
	Create(ctx context.Context, rows []NewRow) (errs []error, err error)
	// Change locks a license, loads it and those of its devices that are named, lets decide change them, and writes
	// what differs. When decide fails nothing is written. ErrNotFound.
	Change(ctx context.Context, licenseID string, hardwareIDs []string, decide func(*Change) error) error
	// Peek is a license with those of the named devices that exist, without a lock: nothing of its changes is written.
	// ErrNotFound.
	Peek(ctx context.Context, licenseID string, hardwareIDs []string) (*Change, error)
	// InTransaction runs fn in one transaction: where it fails, nothing of its changes is written.
	InTransaction(ctx context.Context, fn func(ctx context.Context) error) error
	// Lock holds licenses until the end of the transaction in ctx. Anyone who changes several in one transaction locks
	// them first, so that nobody waits in a circle; package store says in which order the service locks.
	Lock(ctx context.Context, licenseIDs []string) error
	// TakeSeat is the short way for a device never seen before, activated now, on a license of plain terms: one guarded
	// statement, or transaction, shared with those that come at the same time. It returns nil when the guard refused,
	// or when the terms are not plain; Change then decides.
	TakeSeat(ctx context.Context, d Device, event func() proto.Message) (*Activation, error)
	// Expiring finds up to limit active licenses that end in (now, now+days] and were not announced for that period.
	Expiring(ctx context.Context, now time.Time, days, limit int) (ids []string, err error)
	// Due finds up to limit licenses that have a status which nobody has announced.
	Due(ctx context.Context, now time.Time, limit int) (ids []string, err error)
	// Idle finds up to limit licenses that have seats to be freed, because nobody was seen on them for as long as they
	// allow.
	Idle(ctx context.Context, now time.Time, limit int) (ids []string, err error)
	// Key reveals the license key.
	Key(ctx context.Context, licenseID string) (string, error)
}

// Reads are what administrators read of licenses, always from the database.
type Reads interface {
	// Find reads a license; ErrNotFound.
	Find(ctx context.Context, licenseID string) (License, error)
	// Policy reads the policy with a code; nil for none.
	Policy(ctx context.Context, code string) (*Policy, error)
	// PolicyCodes reads the codes of the policies, up to a thousand.
	PolicyCodes(ctx context.Context) ([]string, error)
	// UserOf reads the user of the product of a license who has an e-mail; nil for none, and of several one to whom the
	// license is assigned.
	UserOf(ctx context.Context, l *License, email string) (*User, error)
	// Group reads a group; nil for none.
	Group(ctx context.Context, id string) (*Group, error)
	// List reads a part of the licenses that match, newest first.
	List(ctx context.Context, f Filter, now time.Time) (Page[License], error)
	// LicenseIDs reads the ids of the licenses that match, in their order, up to a number of them; of f, the page is
	// left aside.
	LicenseIDs(ctx context.Context, f Filter, now time.Time, limit int) ([]string, error)
	// FindDevice reads a device by its hardware id; nil where it was never seen on the license.
	FindDevice(ctx context.Context, licenseID, hardwareID string) (*Device, error)
	// Devices reads a part of the devices of a license, latest activation first, and counts all: those that a user
	// activated where userID is not nil. ErrNotFound.
	Devices(ctx context.Context, licenseID string, userID *string, span Span) (Page[Device], error)
	// SeatsOfUser counts the seats of a license that a user has taken.
	SeatsOfUser(ctx context.Context, licenseID, userID string) (int, error)
	// Device reads a device of a license by its id, with the variables and without its components; ErrNotFound,
	// ErrUnknownDeviceID.
	Device(ctx context.Context, licenseID, deviceID string) (Device, error)
	// Leased reports whether a device has a lease that is live at a time, as long as nobody renews it.
	Leased(ctx context.Context, licenseID, hardwareID string, at time.Time) (bool, error)
	// ReleasedAt is when a version of a product came out, zero for one that nobody listed.
	ReleasedAt(ctx context.Context, product, version string) (time.Time, error)
	// FormerKey finds the id of the license that had a key before a rotation, also one that works no more, and when
	// that stops; empty for none.
	FormerKey(ctx context.Context, key string) (licenseID string, until time.Time, err error)
	// ByKey finds the id of a license by a key as somebody typed it; e is not nil for an enrollment key. ErrNotFound.
	ByKey(ctx context.Context, key string, now time.Time) (licenseID string, e *EnrollmentKey, err error)
	// Events reads changes of state since a time, newest first: at most limit, with maxBytes of data together or one;
	// and how many there are. ErrNotFound.
	Events(ctx context.Context, licenseID string, since time.Time, limit, maxBytes int) (
		newest []Event, total int, err error)
	// EnrollmentKeys reads a part of the enrollment keys of a license that were not deleted, newest first; ErrNotFound.
	EnrollmentKeys(ctx context.Context, licenseID string, span Span) (Page[EnrollmentKey], error)
	// Count counts licenses and seats as of now.
	Count(ctx context.Context, now time.Time) (Counts, error)
}

// Filter selects licenses; nil members do not filter. The After bounds are inclusive, the Before bounds exclusive;
// expiry bounds leave perpetual licenses out.
type Filter struct {
	CustomerID *string
	// HardwareID finds the licenses on which this device has a seat.
	HardwareID *string
	// Key is a license key as somebody typed it.
	Key *string
	// Product and Policy are codes.
	Product, Policy *string
	// GroupID is a UUID.
	GroupID *string
	// Search is how the customer, the key as it is shown, or the id or name of a device with a seat begins.
	Search *string
	// Status is empty for all.
	Status Status
	// LicenseType is empty for all.
	LicenseType string
	// Metadata has members of the metadata with the value of each: a text, or a number or truth value as it is written.
	Metadata                    map[string]string
	IsActive, IsTest, IsTrial   *bool
	CreatedAfter, CreatedBefore *time.Time
	ExpiresAfter, ExpiresBefore *time.Time
	// Page counts from 1; After takes its place where it is not nil.
	Page, PerPage int
	After         *Position
}

// Event is a change of state as the event log keeps it.
type Event struct {
	ID   string
	Type string
	At   time.Time
	// Data is the event's protobuf message as JSON.
	Data []byte
}

// Counts are the figures of the whole installation. Active means usable now, InGrace is a part of it; Active + Inactive
// + Expired + Suspended + NotStarted = Total.
type Counts struct {
	Total, Active, InGrace, Inactive, Expired, Suspended, NotStarted int
	Test, Expiring30Days, ActiveDevices                              int
}

// Seen notes that a device was seen, to be written later in batches. It never blocks and never fails.
type Seen interface {
	Seen(Sighting)
}

// Sighting is a device that was just seen.
type Sighting struct {
	LicenseID, HardwareID string
	DeviceID              uuid.UUID
	At                    time.Time
	// Stored is what was known of the device, Said what it says now. Only what differs is written.
	Stored, Said Profile
	// SessionData is the heartbeat's JSON; nil leaves the stored one.
	SessionData []byte
}

// Telemetry takes events that only count uses. It never blocks and never fails.
type Telemetry interface {
	Record(source, subject string, at time.Time, msg proto.Message)
}

// Signer signs offline tokens: auth does, the only holder of the signing keys.
type Signer interface {
	SignOffline(ctx context.Context, t OfflineToken) (token string, err error)
}

// NewRow is a license to be inserted, with its key and the events that tell of it.
type NewRow struct {
	// License names its product by code or name; one that is not there is made. Once it is inserted, it has the code.
	License License
	Key     string
	// Imported tells that somebody brought the key along.
	Imported bool
	// Devices are those that come with an import; CurrentDevices of the license counts the active ones.
	Devices []Device
	// Events are asked for the license as it is inserted; nil for none.
	Events func(*License) []proto.Message
}

// LockedReads finds devices of a license that is under lock, and what else its seats depend on. Those that Idle,
// ByAlias, Named and Matching return may be put into Change.Devices, and are changed there like those that were named.
type LockedReads interface {
	// NewSince counts, up to limit, the devices that took their first seat after a time, and tells when the last
	// counted did: they are counted from the latest on.
	NewSince(since time.Time, limit int) (n int, oldest time.Time, err error)
	// Idle finds the devices that nobody was seen on for so long, as far as sightings were written, and that hold no
	// offline token at now.
	Idle(idle time.Duration, now time.Time) ([]*Device, error)
	// ByAlias finds the device that had this hardware id before; nil for none.
	ByAlias(hardwareID string) (*Device, error)
	// Named finds the device that has this hardware id now; nil for none.
	Named(hardwareID string) (*Device, error)
	// Matching finds devices that share components, up to a number of them; the likeliest first.
	Matching(components map[string]string) ([]Match, error)
	// EnrollmentKey is an enrollment key of the license with the seats that were taken by it; nil for none.
	EnrollmentKey(id string) (*EnrollmentKey, error)
	// LiveEnrollmentKeys counts the enrollment keys of the license that were not deleted.
	LiveEnrollmentKeys() (int, error)
	// User locks a user and counts the seats that the user has taken; nil for none.
	User(id string) (*User, error)
	// DevicesOf finds the seats that a user has taken on the license.
	DevicesOf(userID string) ([]*Device, error)
	// Group locks a group and counts what is used of it; nil for none.
	Group(id string) (*Group, error)
}

// Match is a device that shares components with another: so many are Equal of those Compared, which both sides know.
type Match struct {
	Device          *Device
	Equal, Compared int
}

// Change is a license under lock together with some of its devices.
type Change struct {
	License License
	// Devices holds the named devices that exist, by hardware id. Entries may be changed and added.
	Devices map[string]*Device
	// Reads finds further devices of the license, under the same lock, and its group.
	Reads LockedReads
	// OfflineVoid tells that the offline tokens of all devices are void permanently: none holds a seat any more.
	OfflineVoid bool
	// BorrowsGoOn is set where devices leave their seats without an administrator's doing: what they borrowed still
	// counts.
	BorrowsGoOn bool
	// Heirs are the devices that get what others counted, by the hardware ids of those.
	Heirs map[string]string
	// OfflineHorizon is until when somebody may use the license without the server by what this change gives out; zero
	// for nothing.
	OfflineHorizon time.Time
	// Keys is what happens to the keys of the license, nil for nothing.
	Keys   *KeyChange
	events []proto.Message
}

// Emit adds an event, written when the change is.
func (c *Change) Emit(msg proto.Message) { c.events = append(c.events, msg) }

// Events returns what was emitted, in order.
func (c *Change) Events() []proto.Message { return c.events }

// Blocks keeps the blocks in memory.
type Blocks interface {
	// Current are the blocks that there are now, nil for none.
	Current(ctx context.Context) (BlockSet, error)
}

// BlockSet finds what blocks a device, without a statement.
type BlockSet interface {
	// Find is the block that is in force for a device, nil for none.
	Find(s Suspect) *Block
	// FindNetwork is a block of a network that is in force for a device whose address is not known, nil for none.
	FindNetwork(s Suspect) *Block
}

// Geo knows the countries of addresses.
type Geo interface {
	// Country is a code of two letters (ISO 3166-1), empty where the address belongs to none that is known.
	Country(addr netip.Addr) string
}
