package licensefile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// maxHours is the longest life of a file that an administrator may ask for: ten years.
const maxHours = int(licensing.EndlessOffline / time.Hour)

// MaxMachines is how many machines one file may name.
const MaxMachines = 100

// Files are the use cases of license files.
type Files struct {
	Store Store
	Seats *licensing.Seats
	Keys  *Keys
	// Signers keeps the keys of products that sign statements, so that these do not wait for the database.
	Signers *cache.Cache[string, *Key]
	Clock   clock.Clock
}

// NewSigners makes an empty Files.Signers. A key that was replaced signs for a minute more; its certificate is as good.
func NewSigners(c clock.Clock) *cache.Cache[string, *Key] {
	return cache.New[string, *Key](cache.Options{Capacity: 1000, TTL: time.Minute, Stale: 24 * time.Hour}, c)
}

// Request says what file is wanted.
type Request struct {
	// HardwareIDs are the machines that it is for; nil for any machine.
	HardwareIDs []string
	// Hours is the life of the file; nil is as long as the license allows its offline tokens. A file never outlives the
	// license.
	Hours *int
	// Encrypt has only holders of the license key read it.
	Encrypt bool
	// Nonce is put into the file, so that a machine knows it for the answer to its request.
	Nonce string
	// ByMachine holds the file to the license's max_offline_hours, which administrators may go beyond.
	ByMachine bool
	// machines are those of HardwareIDs.
	machines []licensing.Caller
}

// File is a license file and what is in it.
type File struct {
	ID        string
	LicenseID string
	KID       string
	Machines  []string
	IssuedAt  time.Time
	ExpiresAt time.Time
	// Text is the file.
	Text string
}

// Issue makes a file for an administrator. Machines that have no seat take one each, all or none. Errors:
// VALIDATION_ERROR, licensing.ErrNotFound, the verdicts on an activation and on a file.
func (s *Files) Issue(ctx context.Context, by *licensing.Actor, licenseID string, r Request) (File, error) {
	if err := r.check(); err != nil {
		return File{}, err
	}
	return s.issue(ctx, licenseID, r, licensing.Client{Trusted: true}, func(ch *licensing.Change, f File) {
		ch.Audit(by, "license.issue_file", nil, map[string]any{
			"file_id": f.ID, "hardware_ids": f.Machines, "expires_at": f.ExpiresAt, "encrypt": r.Encrypt,
		})
	})
}

// IssueByKey makes a file for one machine that has the license key, and gives it a seat if it has none. Errors as
// Issue.
func (s *Files) IssueByKey(ctx context.Context, key string, r Request, c licensing.Client) (File, error) {
	r.HardwareIDs = []string{c.HardwareID}
	if err := r.check(); err != nil {
		return File{}, err
	}
	licenseID, err := s.Seats.IDByKey(ctx, key, &c)
	if err != nil {
		return File{}, err
	}
	r.ByMachine = true
	if err := r.readable(c.User != nil || c.Enrollment != nil); err != nil {
		return File{}, err
	}
	made, err := s.issue(ctx, licenseID, r, c, nil)
	if err != nil {
		s.Seats.ActivationRefused(s.Clock.Now(), licenseID, key, c, err)
	}
	return made, err
}

// Problems notes what is wrong with the members of a request that devices send, too.
func (r *Request) Problems(bad apierr.Fields) {
	if r.Hours != nil {
		bad.Range("valid_hours", *r.Hours, 1, maxHours)
	}
	bad.MaxLen("nonce", r.Nonce, file.MaxNonce)
}

func (r *Request) check() error {
	bad := apierr.Fields{}
	r.Problems(bad)
	if r.HardwareIDs != nil && (len(r.HardwareIDs) == 0 || len(r.HardwareIDs) > MaxMachines) {
		bad.Add("hardware_ids", fmt.Sprintf(
			"must have 1 to %d entries; leave it out for a file that any machine may use", MaxMachines))
	}
	if err := bad.Err(); err != nil {
		return err
	}
	slices.Sort(r.HardwareIDs)
	r.HardwareIDs = slices.Compact(r.HardwareIDs)
	return nil
}

// Fits reports whether a machine may have such a file of a license, as far as the verdict does not decide. keyless
// tells that it came by an enrollment key or a user token. Errors: VALIDATION_ERROR.
func (r *Request) Fits(l *licensing.License, keyless bool) error {
	if err := r.readable(keyless); err != nil {
		return err
	}
	return r.short(l)
}

func (r *Request) readable(keyless bool) error {
	if r.Encrypt && keyless {
		return apierr.InvalidField("encrypt",
			"needs the license key, which alone opens such a file; an enrollment key or a user_token does not")
	}
	return nil
}

func (r *Request) short(l *licensing.License) error {
	if most := l.MaxOfflineHours; r.ByMachine && r.Hours != nil && *r.Hours > most {
		return apierr.InvalidField("valid_hours",
			fmt.Sprintf("must be from 1 to %d, the license's max_offline_hours", most))
	}
	return nil
}

func (s *Files) issue(
	ctx context.Context, licenseID string, r Request, c licensing.Client, note func(*licensing.Change, File),
) (made File, err error) {
	l, _, err := s.Seats.Lookup.License(ctx, licenseID)
	if err != nil {
		return File{}, err
	}
	r.machines, err = s.machines(ctx, licenseID, r.HardwareIDs, c)
	if err == nil {
		err = s.tryFirst(ctx, l, r, c)
	}
	if err != nil {
		return File{}, err
	}
	// Keys and secrets are read before the transaction begins; the product of a license never changes.
	key, err := s.Keys.signer(ctx, file.UseLicenses, l.Product)
	if err != nil {
		return File{}, err
	}
	secret := ""
	if r.Encrypt {
		if secret, err = s.Store.Key(ctx, licenseID); err != nil {
			return File{}, err
		}
	}
	err = s.Store.Change(ctx, licenseID, r.HardwareIDs, func(ch *licensing.Change) error {
		issued, err := r.issue(ch, key.KID, c, s.Clock.Now())
		if err != nil {
			return err
		}
		made = newFile(ch, issued)
		if made.Text, err = r.text(ch, issued, key, secret); err == nil && note != nil {
			note(ch, made)
		}
		return err
	})
	return made, err
}

// tryFirst refuses the first file of a product before a key is made for it: a refusal leaves nothing behind.
func (s *Files) tryFirst(ctx context.Context, l *licensing.License, r Request, c licensing.Client) error {
	if key, err := s.Keys.Store.CurrentFileKey(ctx, file.UseLicenses, l.Product); err != nil || key != nil {
		return err
	}
	ch, err := s.Store.Peek(ctx, l.ID, r.HardwareIDs)
	if err == nil {
		_, err = r.issue(ch, "", c, s.Clock.Now())
	}
	return err
}

// machines are those that have the hardware ids, each with what c says.
func (s *Files) machines(
	ctx context.Context, licenseID string, hardwareIDs []string, c licensing.Client,
) (machines []licensing.Caller, err error) {
	machines = make([]licensing.Caller, len(hardwareIDs))
	for i, hardwareID := range hardwareIDs {
		client := c
		client.HardwareID = hardwareID
		if machines[i], err = s.Seats.Caller(ctx, licenseID, &client); err != nil {
			return nil, err
		}
	}
	return machines, nil
}

// issue is the rule, under the lock of the license.
func (r *Request) issue(ch *licensing.Change, kid string, c licensing.Client, now time.Time) (licensing.File, error) {
	f := licensing.File{
		ID: uuid.Must(uuid.NewV7()).String(), KID: kid, Machines: r.HardwareIDs, Encrypted: r.Encrypt,
		IssuedAt: now.Truncate(time.Second),
	}
	seated := ch.License.CurrentDevices
	for _, machine := range r.machines {
		d, err := ch.SeatForFile(machine, now)
		if err != nil {
			return licensing.File{}, withSeats(err, seated)
		}
		f.Devices = append(f.Devices, d)
	}
	if len(r.machines) == 0 {
		if err := ch.StartForFile(now); err != nil {
			return licensing.File{}, err
		}
	}
	if err := r.short(&ch.License); err != nil {
		return licensing.File{}, err
	}
	var err error
	if f.ExpiresAt, err = r.end(&ch.License, f.IssuedAt); err != nil {
		return licensing.File{}, err
	}
	ch.IssueFile(f, c, now)
	return f, nil
}

// withSeats has a refusal tell of the seats that stay taken: those of the machines before are given up with it.
func withSeats(err error, seated int) error {
	if refused := new(licensing.RefusedError); errors.As(err, &refused) && refused.License != nil {
		l := *refused.License
		l.CurrentDevices = seated
		refused.License = &l
	}
	return err
}

func (r *Request) end(l *licensing.License, issued time.Time) (time.Time, error) {
	hours := l.MaxOfflineHours
	if r.Hours != nil {
		hours = *r.Hours
	}
	return l.OfflineEnd(issued, time.Duration(hours)*time.Hour)
}

func newFile(ch *licensing.Change, f licensing.File) File {
	return File{
		ID: f.ID, LicenseID: ch.License.ID, KID: f.KID, Machines: f.Machines,
		IssuedAt: f.IssuedAt, ExpiresAt: f.ExpiresAt,
	}
}

func (r *Request) text(ch *licensing.Change, f licensing.File, key *Key, secret string) (string, error) {
	l := &ch.License
	payload, err := json.Marshal(file.Payload{
		Format: file.Format,
		FileID: f.ID,
		License: file.License{
			LicenseID:  l.ID,
			CustomerID: l.CustomerID,
			Product:    l.Product,
			Policy:     l.Policy,
			Status:     string(l.Status(f.IssuedAt)),
			Version:    l.Version,
			Terms:      l.Terms.View(),
		},
		Machines:  r.HardwareIDs,
		Nonce:     r.Nonce,
		IssuedAt:  f.IssuedAt,
		ExpiresAt: f.ExpiresAt,
	})
	if err != nil {
		return "", err
	}
	if !r.Encrypt {
		return string(key.fileSigner().Sign(file.KindLicense, payload)), nil
	}
	if payload, err = file.Encrypt(payload, secret); err != nil {
		return "", err
	}
	return string(key.fileSigner().Sign(file.KindEncryptedLicense, payload)), nil
}
