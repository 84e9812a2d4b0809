package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
)

// installationPurpose binds the ciphertext of the license of this installation to what it is for.
const installationPurpose = "installation"

// installationID is the id of the only row.
const installationID = "license"

// installationRow mirrors the table installation.
type installationRow struct {
	ID         string
	MachineID  string
	Sealed     []byte
	MasterKey  string
	Heard      string
	CheckDue   *time.Time
	LicensedAt *time.Time
	Version    int
	CreatedAt  time.Time
}

func newInstallationRow(i *appliance.Installation, ring *keyring.Ring) (installationRow, error) {
	var due time.Time
	if i.Cloud != nil {
		due = i.Cloud.CheckDue
	}
	text, err := json.Marshal(newHeard(i))
	if err != nil {
		return installationRow{}, err
	}
	row := installationRow{
		ID:         installationID,
		MachineID:  i.MachineID,
		MasterKey:  ring.Name(),
		Heard:      string(text),
		CheckDue:   nullable(due),
		LicensedAt: nullable(i.LicensedAt),
		Version:    i.Version,
	}
	license := newSealedLicense(i)
	license.Digest = row.digest()
	plain, err := json.Marshal(license)
	if err == nil {
		row.Sealed, err = ring.Seal(installationPurpose, plain, []byte(installationID))
	}
	return row, err
}

// digest is what is sealed of the columns that say whether the installation is licensed: nobody alters them unnoticed.
func (r *installationRow) digest() []byte {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		r.MachineID, value(r.LicensedAt).UTC().Format(time.RFC3339Nano), r.Heard,
	}, "\n")))
	return sum[:]
}

func (r *installationRow) installation(ring *keyring.Ring) (*appliance.Installation, error) {
	plain, err := ring.Open(installationPurpose, r.Sealed, []byte(installationID))
	if errors.Is(err, keyring.ErrUnknownKey) {
		return nil, masterkey.ErrMissing.WithCause(err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the license of this installation: %w", err)
	}
	var license sealedLicense
	var heard heardColumn
	if err := errors.Join(json.Unmarshal(plain, &license), json.Unmarshal([]byte(r.Heard), &heard)); err != nil {
		return nil, fmt.Errorf("read the license of this installation: %w", err)
	}
	if !bytes.Equal(license.Digest, r.digest()) { // somebody altered the row: whatever it says, there is no license
		return &appliance.Installation{MachineID: r.MachineID, LicensedAt: r.CreatedAt.UTC(), Version: r.Version}, nil
	}
	i := &appliance.Installation{
		MachineID: r.MachineID, LicensedAt: value(r.LicensedAt), SeenAt: heard.SeenAt, Version: r.Version,
	}
	switch {
	case license.Account != nil:
		i.Cloud = license.Account.cloud(&heard)
		i.Cloud.CheckDue = value(r.CheckDue)
	case license.File != "":
		i.File = &appliance.File{Text: []byte(license.File), UploadedAt: license.UploadedAt}
	}
	return i, nil
}

// Installation implements appliance.Store.
func (s *Store) Installation(ctx context.Context) (*appliance.Installation, error) {
	i, err := s.installation(s.db.Read(ctx))
	return i, db.Error(err)
}

func (s *Store) installation(tx *gorm.DB) (*appliance.Installation, error) {
	var row installationRow
	err := tx.Table("installation").Where("id = ?", installationID).Take(&row).Error
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return row.installation(s.keys.Ring)
}

// AddInstallation implements appliance.Store.
func (s *Store) AddInstallation(
	ctx context.Context, machineID string, at time.Time,
) (made *appliance.Installation, err error) {
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		if err := s.keys.Guard(tx); err != nil {
			return err
		}
		row, err := newInstallationRow(&appliance.Installation{MachineID: machineID, Version: 1}, s.keys.Ring)
		if err != nil {
			return err
		}
		row.CreatedAt = at
		// Another process may make it at the same time: what is in the table counts.
		if err := tx.Table("installation").Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
			return err
		}
		made, err = s.installation(tx)
		return err
	})
	return made, db.Error(err)
}

// ChangeInstallation implements appliance.Store.
func (s *Store) ChangeInstallation(
	ctx context.Context, decide func(*appliance.Installation) ([]proto.Message, error),
) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		if err := s.keys.Guard(tx); err != nil {
			return err
		}
		i, err := s.installation(s.db.Lock(tx))
		if err != nil {
			return err
		}
		if i == nil {
			return errors.New("there is no installation to change: it is made when it is first read")
		}
		before := i.Version
		events, err := decide(i)
		if err != nil {
			return err
		}
		i.Version = before + 1
		row, err := newInstallationRow(i, s.keys.Ring)
		if err != nil {
			return err
		}
		res := tx.Table("installation").Where("id = ? AND version = ?", installationID, before).
			Select("*").Omit("id", "created_at").UpdateColumns(&row)
		if err := wroteOne(res, "the installation"); err != nil {
			return err
		}
		return s.publish(ctx, tx, i.MachineID, events)
	}))
}

// ClaimCheck implements appliance.Store.
func (s *Store) ClaimCheck(ctx context.Context, version int, due time.Time) (claimed bool, err error) {
	err = s.db.Tx(ctx, func(_ context.Context, tx *gorm.DB) error {
		res := tx.Table("installation").Where("id = ? AND version = ?", installationID, version).
			Updates(map[string]any{"check_due": due, "version": version + 1})
		claimed = res.RowsAffected == 1
		return res.Error
	})
	return claimed, db.Error(err)
}
