package licensing

import (
	"strings"
	"unicode"

	"github.com/latchkey-dev/latchkey/proto/licensefile"
)

// placeholders are ids that firmware, virtual machines and faulty code give to many devices, as plainID makes them. The
// row hardware_id_unique of verdict.go refuses them for new devices.
var placeholders = map[string]bool{}

func init() {
	for _, id := range []string{
		// of code that had no value
		"none", "null", "nil", "undefined", "nan", "n/a", "empty", "unknown", "invalid", "[object Object]",
		"true", "false", "localhost",
		// of firmware that nobody filled in
		"not specified", "not applicable", "not available", "not present", "not defined", "not set", "no data",
		"default", "default string", "to be filled by o.e.m.", "to be filled", "o.e.m.", "serial number",
		"no serial number",
		"system serial number", "chassis serial number", "base board serial number", "board serial number",
		"system product name",
		"system manufacturer", "123456789", "1234567890", "0123456789",
		// of boards and systems known for it
		"03000200-0400-0500-0006-000700080009", "12345678-1234-5678-90ab-cddeefaabbcc",
		"fefefefe-fefe-fefe-fefe-fefefefefefe", "02:00:00:00:00:00", "9774d56d682e549c",
	} {
		placeholders[plainID(id)] = true
	}
}

// plainID is a hardware id without case and separators.
func plainID(hardwareID string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPunct(r) || unicode.IsSpace(r) {
			return -1
		}
		return licensefile.FoldCase(r)
	}, hardwareID)
}

// isPlaceholder tells whether a hardware id names no device in particular.
func isPlaceholder(hardwareID string) bool {
	id := plainID(hardwareID)
	return placeholders[id] || strings.Trim(id, "0") == "" ||
		len(id) >= 4 && (strings.Trim(id, "f") == "" || strings.Trim(id, "x") == "")
}

// CheckNew refuses, with ErrHardwareIDNotUnique, a device that is new to the license and has no id of its own.
func (ch *Change) CheckNew(hardwareID string) error {
	if _, known := ch.Devices[hardwareID]; !known && isPlaceholder(hardwareID) {
		return &DeviceError{refusal{ErrHardwareIDNotUnique}, hardwareID}
	}
	return nil
}
