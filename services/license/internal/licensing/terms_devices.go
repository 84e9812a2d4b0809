package licensing

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Bounds of the rules about devices.
const (
	minIdleMinutes    = 10
	maxIdleMinutes    = 525_600
	maxTransfers      = 1_000_000
	maxNewDevices     = 10_000
	maxNewDeviceHours = 8_760
	maxAllowDeny      = 100
)

// DeviceMatch is how much of a device's components must be equal for it to be recognized under a new hardware_id.
type DeviceMatch string

// The ways to match, from the laxest on. Only components that both sides know are compared, and at least two of them.
const (
	MatchNone DeviceMatch = ""
	MatchAny  DeviceMatch = "any"
	MatchTwo  DeviceMatch = "two"
	MatchMost DeviceMatch = "most"
	MatchAll  DeviceMatch = "all"
)

// DeviceTerms are the rules about devices, which few licenses have. They are never changed in place: licenses share
// them. The JSON is that of the public API, and of what is stored.
type DeviceTerms struct {
	Match DeviceMatch `json:"device_match,omitempty"`
	// IdleMinutes is how long nobody must have been seen on a seat for it to be freed; 0 for never.
	IdleMinutes int `json:"device_idle_minutes,omitempty"`
	// TransferLimit is how many devices may follow others onto seats that were freed, for life; nil for any number.
	TransferLimit *int                     `json:"transfer_limit,omitempty"`
	NewDevices    *NewDevices              `json:"new_devices,omitempty"`
	PreventVM     bool                     `json:"prevent_vm,omitempty"`
	Networks      *AllowDeny[netip.Prefix] `json:"networks,omitempty"`
	Countries     *AllowDeny[string]       `json:"countries,omitempty"`
}

// NewDevices is how many devices never seen before may take a seat within some hours.
type NewDevices struct {
	Limit       int `json:"limit"`
	WindowHours int `json:"window_hours"`
}

// AllowDeny admits what is in Allow, or anything if that is empty, and is not in Deny.
type AllowDeny[T any] struct {
	Allow []T `json:"allow"`
	Deny  []T `json:"deny"`
}

// admits reports whether what matches has a place in the lists; a nil AllowDeny admits everything.
func (a *AllowDeny[T]) admits(matches func(T) bool) bool {
	if a == nil {
		return true
	}
	return (len(a.Allow) == 0 || slices.ContainsFunc(a.Allow, matches)) && !slices.ContainsFunc(a.Deny, matches)
}

// rules are the rules about devices, none of which is asked where there are none.
func (t *Terms) rules() DeviceTerms {
	if t.Devices == nil {
		return DeviceTerms{}
	}
	return *t.Devices
}

// DeviceChange is some of the rules about devices; what is absent stays, null takes a rule away.
type DeviceChange struct {
	Match         Optional[string]
	IdleMinutes   Optional[int]
	TransferLimit Optional[int]
	NewDevices    Optional[NewDevices]
	PreventVM     *bool
	// Networks are addresses or CIDR blocks, Countries codes of two letters (ISO 3166-1).
	Networks, Countries Optional[AllowDeny[string]]
}

func (t *Terms) applyDevices(c *DeviceChange) {
	rules := t.rules()
	if c.Match.Present {
		rules.Match = DeviceMatch(c.Match.Value)
	}
	setOr(&rules.IdleMinutes, c.IdleMinutes, 0)
	setOr(&rules.TransferLimit, pointer(c.TransferLimit), nil)
	setOr(&rules.NewDevices, pointer(c.NewDevices), nil)
	set(&rules.PreventVM, c.PreventVM)
	if c.Networks.Present {
		rules.Networks = parsed(c.Networks.Value, ParseNetwork)
	}
	if c.Countries.Present {
		rules.Countries = parsed(c.Countries.Value, parseCountry)
	}
	t.Devices = nil
	if rules != (DeviceTerms{}) {
		t.Devices = &rules
	}
}

func pointer[T any](o Optional[T]) Optional[*T] {
	return Optional[*T]{Present: o.Present, Null: o.Null, Value: &o.Value}
}

// parsed are the lists that say something, nil where they do not. What cannot be parsed is left to deviceProblems.
func parsed[T any](said AllowDeny[string], parse func(string) (T, bool)) *AllowDeny[T] {
	if len(said.Allow) == 0 && len(said.Deny) == 0 {
		return nil
	}
	lists := &AllowDeny[T]{Allow: []T{}, Deny: []T{}}
	for _, text := range said.Allow {
		if value, ok := parse(text); ok {
			lists.Allow = append(lists.Allow, value)
		}
	}
	for _, text := range said.Deny {
		if value, ok := parse(text); ok {
			lists.Deny = append(lists.Deny, value)
		}
	}
	return lists
}

// ParseNetwork reads an address or a CIDR block; addresses of IPv4 in the form of IPv6 are those of IPv4.
func ParseNetwork(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, false
	}
	return p.Masked(), true
}

func parseCountry(text string) (string, bool) {
	if len(text) != 2 {
		return "", false
	}
	code := []byte(text)
	for i, letter := range code {
		if letter |= 0x20; letter < 'a' || letter > 'z' {
			return "", false
		}
		code[i] &^= 0x20
	}
	return string(code), true
}

// deviceProblems notes what is wrong with the rules about devices that are given.
func (c *TermsChange) deviceProblems(p map[string]string) {
	d := &c.Devices
	if d.Match.given() {
		oneOf(p, "device_match", d.Match.Value,
			string(MatchAny), string(MatchTwo), string(MatchMost), string(MatchAll))
	}
	if d.IdleMinutes.given() {
		inRange(p, "device_idle_minutes", d.IdleMinutes.Value, minIdleMinutes, maxIdleMinutes)
	}
	if d.TransferLimit.given() {
		inRange(p, "transfer_limit", d.TransferLimit.Value, 0, maxTransfers)
	}
	if d.NewDevices.given() {
		inRange(p, "new_devices.limit", d.NewDevices.Value.Limit, 1, maxNewDevices)
		if d.NewDevices.Value.WindowHours == 0 {
			p["new_devices.window_hours"] = fmt.Sprintf("is required, from 1 to %d", maxNewDeviceHours)
		}
		inRange(p, "new_devices.window_hours", cmp.Or(d.NewDevices.Value.WindowHours, 1), 1, maxNewDeviceHours)
	}
	listProblems(p, "networks", d.Networks.Value, "an address or a network, as 192.0.2.0/24", ParseNetwork)
	listProblems(p, "countries", d.Countries.Value, "a country code of two letters, as DE", parseCountry)
}

func listProblems[T any](
	p map[string]string, name string, lists AllowDeny[string], form string, parse func(string) (T, bool),
) {
	for which, list := range map[string][]string{"allow": lists.Allow, "deny": lists.Deny} {
		if len(list) > maxAllowDeny {
			p[name+"."+which] = fmt.Sprintf("must have at most %d entries", maxAllowDeny)
		}
		for _, text := range list {
			if _, ok := parse(text); !ok {
				p[name+"."+which] = "each must be " + form
			}
		}
	}
}

// viewDevices adds the rules about devices to what the audit log shows.
func (t *Terms) viewDevices(view map[string]any) {
	rules := t.rules()
	view["device_match"] = textValue(string(rules.Match))
	view["device_idle_minutes"] = countValue(rules.IdleMinutes, 0)
	view["transfer_limit"], view["new_devices"] = rules.TransferLimit, rules.NewDevices
	view["prevent_vm"], view["networks"], view["countries"] = rules.PreventVM, rules.Networks, rules.Countries
}

func textValue(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// event is the rules as events carry them, nil for none.
func (d *DeviceTerms) event() *eventsv1.DeviceTerms {
	if d == nil {
		return nil
	}
	e := &eventsv1.DeviceTerms{
		DeviceMatch: string(d.Match), DeviceIdleMinutes: int32(d.IdleMinutes), PreventVm: d.PreventVM,
	}
	if d.TransferLimit != nil {
		limit := int32(*d.TransferLimit)
		e.TransferLimit = &limit
	}
	if n := d.NewDevices; n != nil {
		e.NewDevices = &eventsv1.NewDevices{Limit: int32(n.Limit), WindowHours: int32(n.WindowHours)}
	}
	if n := d.Networks; n != nil {
		e.Networks = &eventsv1.AllowDeny{Allow: networkTexts(n.Allow), Deny: networkTexts(n.Deny)}
	}
	if c := d.Countries; c != nil {
		e.Countries = &eventsv1.AllowDeny{Allow: c.Allow, Deny: c.Deny}
	}
	return e
}

func networkTexts(networks []netip.Prefix) []string {
	list := make([]string, len(networks))
	for i, n := range networks {
		list[i] = n.String()
	}
	return list
}
