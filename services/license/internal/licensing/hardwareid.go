package licensing

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

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

// plainParts are what separators divide of a hardware id, without what nobody sees, in one form of letters and digits.
func plainParts(hardwareID string) []string {
	folded := strings.Map(func(r rune) rune {
		switch {
		case isSeparator(r):
			return ' '
		case unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point),
			r == '\u2800', r == unicode.ReplacementChar: // U+2800 is a blank of Braille
			return -1
		}
		return plainDigit(licensefile.FoldCase(r))
	}, norm.NFKC.String(hardwareID))
	return strings.Fields(folded)
}

func isSeparator(r rune) bool { return unicode.IsPunct(r) || unicode.IsSpace(r) }

// plainDigit is the digit of ASCII for that of another script.
func plainDigit(r rune) rune {
	if r <= unicode.MaxASCII || !unicode.IsDigit(r) {
		return r
	}
	zero := r // each script has its ten digits in one row
	for r-zero < 9 && unicode.IsDigit(zero-1) {
		zero--
	}
	return '0' + r - zero
}

// plainID is a hardware id without case and separators.
func plainID(hardwareID string) string { return strings.Join(plainParts(hardwareID), "") }

// isPlaceholder reports whether a hardware id names no device in particular: a placeholder, or one several times over,
// as code joins values that it does not have.
func isPlaceholder(hardwareID string) bool {
	parts := plainParts(hardwareID)
	for n := 1; n < len(parts); n++ {
		if repeats(parts, n) && isOnePlaceholder(strings.Join(parts[:n], "")) {
			return true
		}
	}
	return isOnePlaceholder(strings.Join(parts, ""))
}

// repeats reports whether parts are their first n over and over.
func repeats(parts []string, n int) bool {
	return len(parts)%n == 0 && slices.Equal(parts[n:], parts[:len(parts)-n])
}

func isOnePlaceholder(id string) bool {
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
