package guardtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
)

// RateLimitsArePruned checks that a service empties the table of rate limits of what has expired, also where that is
// more than one statement deletes. start starts the service on d.
func RateLimitsArePruned(t *testing.T, d *db.DB, start func()) {
	t.Helper()
	const many = 1100
	rows := make([]map[string]any, many)
	for i := range rows {
		rows[i] = map[string]any{"key": fmt.Sprint(i), "usage": []byte{}, "expires_at": time.Now().Add(-time.Hour)}
	}
	err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		return tx.Table("rate_limits").CreateInBatches(rows, 200).Error
	})
	if err != nil {
		t.Fatal(err)
	}
	start()
	testkit.Eventually(t, 20*time.Second, func() error {
		var left int64
		err := d.Read(t.Context()).Table("rate_limits").Count(&left).Error
		if err == nil && left > 0 {
			err = fmt.Errorf("%d expired rows are left", left)
		}
		return err
	})
}
