package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// TestCountersForgetWhatIsOver: operations after a day, history after two years, parts of devices from earlier periods
// and of devices that neither the license nor its leases know any more.
func TestCountersForgetWhatIsOver(t *testing.T) {
	each(t, func(t *testing.T, r *replica, d *db.DB) {
		made := create(t, r, seats(2))
		id := made.License.ID
		exec := func(statement string, values ...any) {
			t.Helper()
			err := d.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
				return tx.Exec(statement, values...).Error
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		exec(`INSERT INTO counters (license_id, name, used, period, schedule, announced)
			VALUES (?, 'c', 5, 3, 'never', 0)`, id)
		if _, err := r.Activate(t.Context(), made.Key, client("new")); err != nil {
			t.Fatal(err)
		}
		for device, ending := range map[string]string{"leases": "", "leased": "released"} {
			exec(`INSERT INTO leases (id, license_id, hardware_id, session_id, device_name, entitlement, leased_at,
				last_seen_at, expires_at, ending) VALUES (?, ?, ?, '', '', '', ?, ?, ?, ?)`,
				uuid.NewString(), id, device, noon, noon, noon, ending)
		}
		for device, period := range map[string]int{"old": 2, "new": 3, "leases": 3, "leased": 3, "forgotten": 3} {
			exec(`INSERT INTO counter_devices (license_id, counter, hardware_id, period, used)
				VALUES (?, 'c', ?, ?, 1)`,
				id, device, period)
		}
		for operation, age := range map[string]time.Duration{"over": 26 * time.Hour, "kept": 24 * time.Hour} {
			exec(`INSERT INTO counter_operations (license_id, operation_id, request, hardware_id, created_at, applied,
				answer)
				VALUES (?, ?, '', 'pc', ?, '[]', '[]')`, id, operation, noon.Add(-age))
		}
		for _, years := range []int{1, 3} {
			exec(`INSERT INTO counter_history (id, license_id, counter, action, at, used_before, used_after, reason,
				actor_id,
				actor_name) VALUES (?, ?, 'c', 'set', ?, 0, 1, '', 'a', 'Ada')`,
				uuid.NewString(), id, noon.AddDate(-years, 0, 0))
		}
		if err := r.store.PruneCounters(t.Context()); err != nil {
			t.Fatal(err)
		}
		left := ""
		for _, of := range [][2]string{
			{"counter_devices", "hardware_id"}, {"counter_operations", "operation_id"}, {"counter_history", "action"},
		} {
			var values []string
			if err := d.Read(t.Context()).Table(of[0]).Order(of[1]).Pluck(of[1], &values).Error; err != nil {
				t.Fatal(err)
			}
			left += fmt.Sprintf("%q ", values)
		}
		if want := `["leased" "leases" "new"] ["kept"] ["set"] `; left != want {
			t.Errorf("left %s, want %s", left, want)
		}
	})
}
