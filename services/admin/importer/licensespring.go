package importer

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// springsColumns are columns of LicenseSpring's files that say what one of ours says. Names are without the prefixes
// license__, product__ and order__.
var springsColumns = map[string]string{
	"license_key":            "license_key",
	"short_code":             "product",
	"product":                "product",
	"license_type":           "license_type",
	"enabled":                "is_active",
	"is_trial":               "is_trial",
	"is_test":                "is_test",
	"max_activations":        "max_devices",
	"validity_period":        "expires_at",
	"start_date":             "starts_at",
	"maintenance_period":     "maintenance_until",
	"grace_period":           "grace_hours",
	"prevent_vm":             "prevent_vm",
	"transfer_count":         "transfers_used",
	"note":                   "metadata.note",
	"store_id":               "metadata.order_store_id",
	"type":                   "metadata.order_type",
	"download_id":            "metadata.order_download_id",
	"language":               "metadata.order_language",
	"campaign_params":        "metadata.order_campaign_params",
	"customer__email":        "customer_email",
	"customer__company_name": "customer_company",
	"customer__phone":        "customer_phone",
	"customer__reference":    "customer_id",
	"customer__address":      "customer_line1",
	"customer__postcode":     "customer_postal_code",
	"customer__state":        "customer_state",
	"customer__city":         "customer_city",

	// Of files of devices, license users and product features.
	"hardware_id": "hardware_id",
	"hostname":    "device_name",
	"is_active":   "device_active",
	"user__email": "user_email",
	"email":       "user_email",
	"code":        "entitlement",
	"expiry_date": "entitlement_expires_at",
}

// springsRules are columns that are read together, by fromSprings; those that are true hold truth values.
var springsRules = map[string]bool{
	"allow_unlimited_activations": true, "enable_maintenance_period": true, "allow_grace_period": true,
	"is_floating": true, "is_floating_cloud": true, "allow_unlimited_consumptions": true, "allow_overages": true,
	"reset_consumption": true,
	"valid_duration":    false, "max_transfers": false, "floating_users": false, "floating_timeout": false,
	"max_consumptions": false, "max_consumption": false, "total_consumptions": false, "max_overages": false,
	"consumption_period": false, "customer__first_name": false, "customer__last_name": false,
	"customer__country": false, "first_name": false, "last_name": false,
}

// springsName is the name of a column without a prefix that tells nothing; empty for one that LicenseSpring does not
// have.
func springsName(heading string) string {
	name := strings.ToLower(heading)
	for _, prefix := range []string{"license__", "product__", "order__"} {
		name = strings.TrimPrefix(name, prefix)
	}
	if _, rule := springsRules[name]; !rule && springsColumns[name] == "" {
		return ""
	}
	return name
}

// fromSprings makes the cells of a line in our columns of those in LicenseSpring's. wrong is the first, by name, that
// should be a truth value and is none; others are checked as ours are.
func fromSprings(theirs map[string]cell) (ours map[string]cell, wrong *problem) {
	s := springsLine{theirs, map[string]cell{}}
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		c := theirs[name]
		if ours := springsColumns[name]; ours != "" {
			s.ours[ours] = c
		}
		if _, reason := readBool(c.text); springsRules[name] && reason != "" {
			wrong = cmp.Or(wrong, c.wrong(reason))
		}
	}
	s.customer()
	s.limits()
	s.floating()
	s.consumption()
	return s.ours, wrong
}

// springsLine is a line of LicenseSpring's file, by the names of their columns and of ours.
type springsLine struct{ theirs, ours map[string]cell }

// is tells what a column of truth values says; given is false where it is empty.
func (s springsLine) is(name string) (yes, given bool) {
	value, wrong := readBool(s.theirs[name].text)
	yes, _ = value.(bool)
	return yes, wrong == ""
}

// set puts a text into one of our columns. What is wrong with it is reported at their column at.
func (s springsLine) set(ours, text, at string) {
	c := s.theirs[at]
	c.text = text
	s.ours[ours] = c
}

// customer names who has the license: by reference, or else by e-mail address or company.
func (s springsLine) customer() {
	s.name("customer__first_name", "customer__last_name", "customer_name")
	s.name("first_name", "last_name", "user_name")
	for _, ours := range []string{"customer_email", "customer_company"} {
		if c, ok := s.ours[ours]; ok && s.ours["customer_id"].text == "" {
			s.ours["customer_id"] = c
		}
	}
	// Countries may be names there; ours are codes.
	if c, ok := s.theirs["customer__country"]; ok {
		ours := "metadata.customer_country"
		if len(c.text) == 2 {
			ours = "customer_country"
			c.text = strings.ToUpper(c.text)
		}
		s.ours[ours] = c
	}
}

func (s springsLine) name(first, last, ours string) {
	name := strings.TrimSpace(s.theirs[first].text + " " + s.theirs[last].text)
	if s.theirs[last].text == "" {
		last = first
	}
	if name != "" {
		s.set(ours, name, last)
	}
}

var springsDuration = regexp.MustCompile(`^(\d+)\s*(d|days?|w|weeks?|m|months?|y|years?)?$`)

// limits reads seats, and how long the license is good for.
func (s springsLine) limits() {
	if yes, _ := s.is("allow_unlimited_activations"); yes {
		s.set("max_devices", "unlimited", "allow_unlimited_activations")
	}
	if c := s.theirs["max_transfers"]; c.text != "" && c.text != "0" { // 0 is no limit there
		s.ours["transfer_limit"] = c
	} else {
		delete(s.ours, "transfers_used")
	}
	if yes, given := s.is("enable_maintenance_period"); given && !yes {
		delete(s.ours, "maintenance_until")
	}
	if yes, given := s.is("allow_grace_period"); given && !yes {
		delete(s.ours, "grace_hours")
	}
	c := s.theirs["valid_duration"]
	if c.text == "" || s.ours["expires_at"].text != "" {
		return
	}
	s.ours["duration_days"] = c // where it is no duration, the column says so
	if m := springsDuration.FindStringSubmatch(strings.ToLower(c.text)); m != nil {
		s.duration(m[1], m[2])
	}
	s.set("starts", "first_activation", "valid_duration")
}

func (s springsLine) duration(number, unit string) {
	n, _ := strconv.Atoi(number)
	delete(s.ours, "duration_days")
	switch {
	case strings.HasPrefix(unit, "m"):
		s.set("duration_months", strconv.Itoa(n), "valid_duration")
	case strings.HasPrefix(unit, "y"):
		s.set("duration_months", strconv.Itoa(12*n), "valid_duration")
	case strings.HasPrefix(unit, "w"):
		s.set("duration_days", strconv.Itoa(7*n), "valid_duration")
	default:
		s.set("duration_days", strconv.Itoa(n), "valid_duration")
	}
}

// floating reads slots; the timeout is in minutes there.
func (s springsLine) floating() {
	on, _ := s.is("is_floating_cloud")
	if yes, _ := s.is("is_floating"); !yes && !on || s.theirs["floating_users"].text == "" {
		return
	}
	s.ours["floating_slots"] = s.theirs["floating_users"]
	s.set("floating_activation", "none", "floating_users")
	if c := s.theirs["floating_timeout"]; c.text != "" {
		s.ours["floating_lease_seconds"] = c
		if minutes, err := strconv.Atoi(strings.TrimSuffix(c.text, ".0")); err == nil {
			s.set("floating_lease_seconds", strconv.Itoa(60*minutes), "floating_timeout")
		}
	}
}

// consumption makes a counter of the consumption of a license, or of a product feature, whose code names it.
func (s springsLine) consumption() {
	name, limit := "consumptions", "max_consumptions"
	feature, isFeature := s.ours["entitlement"]
	if isFeature {
		name, limit = feature.text, "max_consumption"
	}
	unlimited, _ := s.is("allow_unlimited_consumptions")
	if s.theirs[limit].text == "" && !unlimited ||
		!isFeature && !strings.EqualFold(s.theirs["license_type"].text, "consumption") {
		return
	}
	at := limit
	if unlimited {
		at = "allow_unlimited_consumptions"
	}
	s.set("counter", name, at)
	s.set("counter_limit", "unlimited", at)
	if !unlimited {
		s.ours["counter_limit"] = s.theirs[limit]
	}
	if isFeature {
		s.set("entitlement_counter", name, limit)
	}
	if c := s.theirs["total_consumptions"]; c.text != "" {
		s.ours["counter_used"] = c
	}
	if yes, _ := s.is("allow_overages"); yes {
		s.set("counter_overage", "unlimited", "allow_overages")
		if c := s.theirs["max_overages"]; c.text != "" && c.text != "0" {
			s.ours["counter_overage"] = c
		}
	}
	if yes, given := s.is("reset_consumption"); s.theirs["consumption_period"].text != "" && (yes || !given) {
		s.ours["counter_reset"] = s.theirs["consumption_period"]
	}
}
