package manage

import (
	"net/netip"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// deviceTermsBody is the rules about devices as answers show them.
type deviceTermsBody struct {
	DeviceMatch       *string                            `json:"device_match"`
	DeviceIdleMinutes *int                               `json:"device_idle_minutes"`
	TransferLimit     *int                               `json:"transfer_limit"`
	NewDevices        *licensing.NewDevices              `json:"new_devices"`
	PreventVM         bool                               `json:"prevent_vm"`
	Networks          *licensing.AllowDeny[netip.Prefix] `json:"networks"`
	Countries         *licensing.AllowDeny[string]       `json:"countries"`
}

func newDeviceTermsBody(d *licensing.DeviceTerms) deviceTermsBody {
	if d == nil {
		return deviceTermsBody{}
	}
	return deviceTermsBody{
		DeviceMatch:       httpx.TextOrNull(string(d.Match)),
		DeviceIdleMinutes: wire.CountOrNull(d.IdleMinutes, 0),
		TransferLimit:     d.TransferLimit,
		NewDevices:        d.NewDevices,
		PreventVM:         d.PreventVM,
		Networks:          d.Networks,
		Countries:         d.Countries,
	}
}

type newDevices struct {
	Limit       int `json:"limit"`
	WindowHours int `json:"window_hours"`
}

type allowDeny struct {
	Allow []string `json:"allow" text:"identifier"`
	Deny  []string `json:"deny" text:"identifier"`
}

// nullableDeviceTerms are those of the rules about devices whose null takes them away.
type nullableDeviceTerms struct {
	DeviceMatch       jsonbody.Optional[string]     `json:"device_match" null:"ok"`
	DeviceIdleMinutes jsonbody.Optional[int]        `json:"device_idle_minutes" null:"ok"`
	TransferLimit     jsonbody.Optional[int]        `json:"transfer_limit" null:"ok"`
	NewDevices        jsonbody.Optional[newDevices] `json:"new_devices" null:"ok"`
	Networks          jsonbody.Optional[allowDeny]  `json:"networks" null:"ok"`
	Countries         jsonbody.Optional[allowDeny]  `json:"countries" null:"ok"`
}

func (t *nullableDeviceTerms) change() licensing.DeviceChange {
	return licensing.DeviceChange{
		Match:         licensing.Optional[string](t.DeviceMatch),
		IdleMinutes:   licensing.Optional[int](t.DeviceIdleMinutes),
		TransferLimit: licensing.Optional[int](t.TransferLimit),
		NewDevices: licensing.Optional[licensing.NewDevices]{
			Present: t.NewDevices.Present, Null: t.NewDevices.Null, Value: licensing.NewDevices(t.NewDevices.Value),
		},
		Networks:  lists(t.Networks),
		Countries: lists(t.Countries),
	}
}

func lists(o jsonbody.Optional[allowDeny]) licensing.Optional[licensing.AllowDeny[string]] {
	return licensing.Optional[licensing.AllowDeny[string]]{
		Present: o.Present, Null: o.Null, Value: licensing.AllowDeny[string]{Allow: o.Value.Allow, Deny: o.Value.Deny},
	}
}
