package store

import "github.com/latchkey-dev/latchkey/services/license/internal/licensing"

// idleMinutes is NULL for a license whose seats are not freed by themselves.
func idleMinutes(t *licensing.Terms) *int {
	if t.Devices == nil || t.Devices.IdleMinutes == 0 {
		return nil
	}
	return &t.Devices.IdleMinutes
}
