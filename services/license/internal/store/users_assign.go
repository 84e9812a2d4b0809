package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// Assign implements user.Store. License and user are locked in this order, as activations do.
func (s *Store) Assign(ctx context.Context, licenseID, userID string, events user.Assignment) (u user.User, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		l, err := lockLicense(ctx, s.db, tx, licenseID)
		if err != nil {
			return translate(err)
		}
		if u, err = findUser(s.db.Lock(tx), tx, userID); err != nil {
			return err
		}
		if holds(&u, licenseID) {
			return nil
		}
		msgs, err := events(&u, &l)
		if err != nil {
			return err
		}
		row := map[string]any{"license_id": licenseID, "user_id": u.ID, "assigned_at": s.clock.Now()}
		if err := tx.Table("license_users").Create(row).Error; err != nil {
			return err
		}
		u.Licenses = append(u.Licenses, licenseID)
		return s.publish(ctx, tx, licenseID, msgs)
	})
	return u, db.Error(err)
}

func holds(u *user.User, licenseID string) bool {
	for _, id := range u.Licenses {
		if id == licenseID {
			return true
		}
	}
	return false
}

// Unassign implements user.Store.
func (s *Store) Unassign(
	ctx context.Context, licenseID, userID string, events user.Assignment, free func(*licensing.Change) error,
) (u user.User, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		return s.Change(ctx, licenseID, nil, func(ch *licensing.Change) error {
			if u, err = findUser(s.db.Lock(tx), tx, userID); err != nil {
				return err
			}
			if !holds(&u, licenseID) {
				return nil
			}
			if err := free(ch); err != nil {
				return err
			}
			const gone = "DELETE FROM license_users WHERE license_id = ? AND user_id = ?"
			if err := tx.Exec(gone, licenseID, userID).Error; err != nil {
				return err
			}
			left := []user.User{u}
			left[0].Licenses = nil
			if err := readAssigned(tx, left); err != nil {
				return err
			}
			u = left[0]
			msgs, err := events(&u, &ch.License)
			for _, msg := range msgs {
				ch.Emit(msg)
			}
			return err
		})
	})
	return u, db.Error(err)
}

// readAssigned reads the licenses of users, the first assigned first.
func readAssigned(tx *gorm.DB, users []user.User) error {
	at, ids := map[string]*user.User{}, make([]string, len(users))
	for i := range users {
		ids[i], at[users[i].ID] = users[i].ID, &users[i]
	}
	var rows []struct{ UserID, LicenseID string }
	err := tx.Table("license_users").Select("user_id", "license_id").Where("user_id IN ?", ids).
		Order("assigned_at, license_id").Find(&rows).Error
	for _, row := range rows {
		at[row.UserID].Licenses = append(at[row.UserID].Licenses, row.LicenseID)
	}
	return db.Error(err)
}
