package ingest

import (
	"bytes"
	"strconv"
	"time"

	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// plainBody reads a body as this suite writes it: one flat object without white space and escapes. Nearly every event is one, and this
// spares most of the general decoder's time (BenchmarkIngest). It knows nothing of what is wrong: where it says false, that one decides.
func plainBody(data []byte, b *usage.Body) bool {
	m := members{rest: data, ok: true}
	m.expect('{')
	if m.next() == '}' {
		return false
	}
	for m.ok {
		name := m.string()
		m.expect(':')
		m.member(name, b)
		if m.next() == '}' {
			return m.ok && len(m.rest) == 1
		}
		m.expect(',')
	}
	return false
}

// members reads the members of an object one after another. Once ok is false, nothing that it returns is of use.
type members struct {
	rest []byte
	ok   bool
}

func (m *members) next() byte {
	if len(m.rest) == 0 {
		m.ok = false
		return 0
	}
	return m.rest[0]
}

func (m *members) expect(c byte) {
	if m.next() != c {
		m.ok = false
		return
	}
	m.rest = m.rest[1:]
}

// string reads a string without escapes, in place.
func (m *members) string() []byte {
	m.expect('"')
	end := bytes.IndexByte(m.rest, '"')
	if end < 0 {
		m.ok = false
		return nil
	}
	s := m.rest[:end]
	for _, c := range s {
		m.ok = m.ok && c >= ' ' && c != '\\'
	}
	m.rest = m.rest[end+1:]
	return s
}

// member reads the value of a member. The general decoder takes names for the same that differ in case only.
func (m *members) member(name []byte, b *usage.Body) {
	switch string(name) {
	case "license_id":
		m.text(&b.LicenseID)
	case "hardware_id":
		m.text(&b.HardwareID)
	case "from_hardware_id":
		m.text(&b.FromHardwareID)
	case "to_hardware_id":
		m.text(&b.ToHardwareID)
	case "device_name":
		m.text(&b.DeviceName)
	case "os":
		m.text(&b.OS)
	case "app_version":
		m.text(&b.AppVersion)
	case "session_id":
		m.text(&b.SessionID)
	case "ip":
		m.text(&b.IP)
	case "country":
		m.text(&b.Country)
	case "net_kind":
		m.text(&b.NetKind)
	case "error_code":
		m.text(&b.ErrorCode)
	case "reason":
		m.text(&b.Reason)
	case "by":
		m.text(&b.By)
	case "license_key_hash":
		m.text(&b.KeyHash)
	case "customer_id":
		m.text(&b.CustomerID)
	case "product":
		m.text(&b.Product)
	case "license_type":
		m.text(&b.LicenseType)
	default:
		m.other(name, b)
	}
}

// other reads what is no text.
func (m *members) other(name []byte, b *usage.Body) {
	switch string(name) {
	case "lat":
		m.float(&b.Lat)
	case "lon":
		m.float(&b.Lon)
	case "asn":
		b.ASN = uint32(m.int(0, 1<<32-1))
	case "client_time":
		m.time(&b.ClientTime)
	case "created_at":
		m.time(&b.CreatedAt)
	case "expires_at":
		m.time(&b.ExpiresAt)
	case "is_test":
		b.IsTest = m.bool()
	case "is_active":
		b.IsActive = m.bool()
	case "via_proxy":
		b.ViaProxy = m.bool()
	case "returning":
		b.Returning = m.bool()
	case "max_devices":
		b.MaxDevices = int(m.int(-1<<53, 1<<53))
	case "current_devices":
		b.CurrentDevices = int(m.int(-1<<53, 1<<53))
	case "version":
		b.Version = m.int(-1<<53, 1<<53)
	default:
		for _, c := range name {
			m.ok = m.ok && (c == '_' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9')
		}
		m.skip()
	}
}

func (m *members) text(to *string) {
	if s := m.string(); m.ok {
		*to = string(s)
	}
}

// literal reads up to the end of a value that is neither text nor composed.
func (m *members) literal() string {
	end := bytes.IndexAny(m.rest, ",}")
	if end < 0 {
		m.ok = false
		return ""
	}
	s := m.rest[:end]
	m.rest = m.rest[end:]
	return string(s)
}

// int reads a number without fraction and exponent.
func (m *members) int(low, high int64) int64 {
	s := m.literal()
	n, err := strconv.ParseInt(s, 10, 64)
	m.ok = m.ok && err == nil && n >= low && n <= high && strconv.FormatInt(n, 10) == s
	return n
}

// float reads a number as people write it.
func (m *members) float(to *float64) {
	s := m.literal()
	f, err := strconv.ParseFloat(s, 64)
	m.ok = m.ok && err == nil && f-f == 0 && strconv.FormatFloat(f, 'f', -1, 64) == s // a name such as NaN is no number in JSON
	*to = f
}

func (m *members) bool() bool {
	s := m.literal()
	m.ok = m.ok && (s == "true" || s == "false")
	return s == "true"
}

func (m *members) time(to **time.Time) {
	if m.next() != '"' {
		m.ok = m.ok && m.literal() == "null"
		*to = nil
		return
	}
	quoted := m.rest
	s := m.string()
	at := new(time.Time)
	if m.ok = m.ok && at.UnmarshalJSON(quoted[:len(s)+2]) == nil; m.ok {
		*to = at
	}
}

// skip passes over a value that nobody asks for.
func (m *members) skip() {
	if m.next() == '"' {
		m.string()
		return
	}
	switch s := m.literal(); s {
	case "true", "false", "null":
	default:
		n, err := strconv.Atoi(s)
		m.ok = m.ok && err == nil && strconv.Itoa(n) == s
	}
}
