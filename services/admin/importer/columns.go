package importer

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
)

// column is what a cell says of a license: a member of one of the objects that make it up.
type column struct {
	// object is empty for the license itself.
	object, member string
	read           func(text string) (value any, wrong string)
}

// columns are the names that a file may have in its first line, beside metadata.NAME; docs/import.md lists them.
// Objects and members are those of importedLicense in license's internal/manage/import_row.go.
var columns = map[string]column{
	"license_key":         {"", "license_key", readText},
	"customer_id":         {"", "customer_id", readText},
	"product":             {"", "product", readText},
	"policy":              {"", "policy", readText},
	"group_id":            {"", "group_id", readText},
	"license_type":        {"", "license_type", readWord},
	"is_trial":            {"", "is_trial", readBool},
	"is_test":             {"", "is_test", readBool},
	"is_active":           {"", "is_active", readBool},
	"deactivation_reason": {"", "deactivation_reason", readText},
	"max_devices":         {"", "max_devices", readLimit},
	"transfer_limit":      {"", "transfer_limit", readLimit},
	"transfers_used":      {"", "transfers_used", readNumber},
	"starts_at":           {"", "starts_at", readTime},
	"expires_at":          {"", "expires_at", readEnd},
	"maintenance_until":   {"", "maintenance_until", readEnd},
	"grace_hours":         {"", "grace_hours", readNumber},
	"duration_days":       {"", "duration_days", readNumber},
	"duration_months":     {"", "duration_months", readNumber},
	"starts":              {"", "starts", readWord},
	"timezone":            {"", "timezone", readText},
	"max_offline_hours":   {"", "max_offline_hours", readNumber},
	"offline_activation":  {"", "offline_activation", readBool},
	"device_idle_minutes": {"", "device_idle_minutes", readNumber},
	"device_match":        {"", "device_match", readWord},
	"prevent_vm":          {"", "prevent_vm", readBool},
	"features":            {"", "features", readList},
	"metadata":            {"", "metadata", readObject},

	"customer_name":        {"customer", "name", readText},
	"customer_email":       {"customer", "email", readText},
	"customer_company":     {"customer", "company", readText},
	"customer_phone":       {"customer", "phone", readText},
	"customer_line1":       {"address", "line1", readText},
	"customer_line2":       {"address", "line2", readText},
	"customer_city":        {"address", "city", readText},
	"customer_state":       {"address", "state", readText},
	"customer_postal_code": {"address", "postal_code", readText},
	"customer_country":     {"address", "country", readText},

	"floating_slots":         {"floating", "slots", readNumber},
	"floating_lease_seconds": {"floating", "lease_seconds", readNumber},
	"floating_activation":    {"floating", "activation", readWord},

	"hardware_id":   {"devices", "hardware_id", readText},
	"device_name":   {"devices", "device_name", readText},
	"device_active": {"devices", "is_active", readBool},
	"device_user":   {"devices", "user", readText},

	"user_email":       {"users", "email", readText},
	"user_name":        {"users", "name", readText},
	"user_max_devices": {"users", "max_devices", readLimit},

	"entitlement":            {"entitlements", "code", readText},
	"entitlement_name":       {"entitlements", "name", readText},
	"entitlement_expires_at": {"entitlements", "expires_at", readEnd},
	"entitlement_counter":    {"entitlements", "counter", readText},

	"counter":         {"counters", "name", readText},
	"counter_limit":   {"counters", "limit", readLimit},
	"counter_overage": {"counters", "overage", readLimit},
	"counter_reset":   {"counters", "reset", readWord},
	"counter_used":    {"counters", used, readNumber},
}

// used is a member of counters that the API has at the license.
const used = "used"

// parts are the objects of which a license has several; each line of it may bring one.
var parts = []string{"devices", "users", "entitlements", "counters"}

func readText(text string) (any, string) { return text, "" }

func readWord(text string) (any, string) { return strings.ToLower(text), "" }

func readNumber(text string) (any, string) {
	n, err := strconv.ParseInt(strings.TrimSuffix(text, ".0"), 10, 64)
	if err != nil {
		return nil, "must be a whole number"
	}
	return n, ""
}

// readLimit reads a number, or unlimited, which is null.
func readLimit(text string) (any, string) {
	if strings.EqualFold(text, "unlimited") {
		return nil, ""
	}
	n, wrong := readNumber(text)
	if wrong != "" {
		wrong += `, or "unlimited"`
	}
	return n, wrong
}

func readBool(text string) (any, string) {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		return true, ""
	case "false", "0", "no":
		return false, ""
	}
	return nil, "must be true or false"
}

// readTime reads RFC 3339, and what databases and spreadsheets write: a blank for the T, an hour of one digit, and
// without a zone UTC.
func readTime(text string) (any, string) {
	if _, err := time.Parse(time.DateOnly, text); err == nil {
		return text, ""
	}
	day, hours, _ := strings.Cut(strings.Replace(text, " ", "T", 1), "T")
	if strings.Index(hours, ":") == 1 {
		hours = "0" + hours
	}
	for _, zone := range []string{"", "Z"} {
		if t, ok := jsonbody.ParseTime(day + "T" + hours + zone); ok {
			return t.Format(time.RFC3339Nano), ""
		}
	}
	return nil, "must be a date as 2027-01-31, or a time as 2027-01-31T12:00:00Z"
}

// readEnd reads a time, or never, which is null.
func readEnd(text string) (any, string) {
	if strings.EqualFold(text, "never") {
		return nil, ""
	}
	return readTime(text)
}

// readList reads texts between bars.
func readList(text string) (any, string) {
	list := []string{}
	for _, entry := range strings.Split(text, "|") {
		if entry = strings.TrimSpace(entry); entry != "" {
			list = append(list, entry)
		}
	}
	return list, ""
}

func readObject(text string) (any, string) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
		return nil, "must be a JSON object"
	}
	return json.RawMessage(text), ""
}
