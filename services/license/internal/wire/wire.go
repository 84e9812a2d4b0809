// Package wire is the JSON of the main API that its surfaces share: what devices ask (api), what administrators ask (manage) and
// what peer services ask (rpc). A dialect has a form of its own.
package wire

import "github.com/latchkey-dev/latchkey/services/license/internal/licensing"

// Limits are the seats of a license.
type Limits struct {
	// MaxDevices is null for any number.
	MaxDevices     *int `json:"max_devices"`
	CurrentDevices int  `json:"current_devices"`
}

// NewLimits shows the seats of a license.
func NewLimits(l licensing.Limits) Limits {
	return Limits{MaxDevices: CountOrNull(l.MaxDevices, licensing.Unlimited), CurrentDevices: l.CurrentDevices}
}

// CountOrNull is null where n stands for none or for any number.
func CountOrNull(n, null int) *int {
	if n == null {
		return nil
	}
	return &n
}
