package licensing

import (
	"errors"
	"testing"
)

func TestPlaceholdersOfHardwareIDs(t *testing.T) {
	for _, id := range []string{
		"None", "null", "undefined", "NIL", "Default string", "default_string", "To be filled by O.E.M.",
		"To Be Filled By OEM", "System Serial Number",
		"unknown", "False", "localhost", "N/A", "NA", "0", "0000", "00000000-0000-0000-0000-000000000000",
		"{00000000-0000-0000-0000-000000000000}", "00:00:00:00:00:00", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
		"ff:ff:ff:ff:ff:ff", "123456789", "Not Specified", "Not Applicable", "---", "xxxxxxxx",
		"03000200-0400-0500-0006-000700080009",
		"undefined-undefined", "null-null-null", "N/A, N/A", "Default string/Default string", "None_None",
		"123456789 123456789", "\u3164", "\u2800", "\ufffd", "\u115f\u1160", "N\u200bone", "n\ufe0full", "\uff2eone",
		"\u0660\u0660\u0660\u0660", "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669",
		"\uff10\uff10-\uff10\uff10", "\u00a0none\u00a0",
	} {
		if !isPlaceholder(id) {
			t.Errorf("%q passes", id)
		}
	}
	for _, id := range []string{
		"device-123", "pc-1", "a", "f", "1", "00000001", "f0f0", "nonesuch", "漢",
		"4c4c4544-0042-3510-8054-b7c04f4d5831", "52:54:00:12:34:56", "unknown-7",
		"nana", "nullnull", "null-undefined-7", "pc-pc", "abc abc", "12-12", "\u0661", "\u0967\u0968", "n\u00fall",
		"none-none-1", "serial number 7 serial number 7", "\ud55c\uad6d", "\u0645\u062d\u0645\u062f", "\ufffdpc",
		"S4EWNX0M123456", "VMware-56 4d 8a 1f 3c 00 00 00-00 00 00 00 00 00 00 01", "DESKTOP-0000000",
		"00:00:5e:00:53:01", "ffffffff-0000-0000-0000-000000000001", "a-a", "1-1", "true-7",
	} {
		if isPlaceholder(id) {
			t.Errorf("%q is refused", id)
		}
	}
}

// TestPlaceholdersAreRefusedForNewDevicesOnly: a device that exists under a placeholder goes on, a new one does not
// come in by any way.
func TestPlaceholdersAreRefusedForNewDevicesOnly(t *testing.T) {
	ch := license()
	ch.Devices["None"] = &Device{ID: "d9", LicenseID: "l", HardwareID: "None"}
	for hardwareID, want := range map[string]error{"None": nil, "null": ErrHardwareIDNotUnique} {
		_, err := ch.activate(Device{ID: "fresh", HardwareID: hardwareID, IsActive: true},
			Caller{Client: &Client{HardwareID: hardwareID}}, noon)
		if !errors.Is(err, want) {
			t.Errorf("activate %s: %v, want %v", hardwareID, err, want)
		}
	}
	ch = license()
	ch.Devices["None"] = &Device{ID: "d9", LicenseID: "l", HardwareID: "None"}
	for _, tc := range []struct {
		to   string
		want error
	}{{"null", ErrHardwareIDNotUnique}, {"None", nil}} {
		move := Move{From: "desk", To: tc.to}
		_, err := ch.transfer(move, ch.Devices["desk"], ch.Devices[tc.to], noon)
		if !errors.Is(err, tc.want) {
			t.Errorf("transfer to %s: %v, want %v", tc.to, err, tc.want)
		}
	}
}
