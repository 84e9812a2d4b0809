//go:build unix

package main

// newEvent tells that an administrator had a license key shown.
var newEvent = recipe{
	name:    "event",
	section: "Add an event",
	most:    3,
	steps: []step{
		{file: "proto/latchkey/events/v1/license.proto", after: "added to Terms alone.", add: `
// LicenseKeyRevealed says that an administrator had the key shown.
message LicenseKeyRevealed {
  option (type) = "license.key_revealed";
  option (publishers) = "license";
  string license_id = 1;
}
`},
		{
			file:  licenseFolder + "licensing/reveal.go",
			after: `"context"`,
			add:   "\teventsv1 \"github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1\"\n",
		},
		{
			file:  licenseFolder + "licensing/reveal.go",
			after: `"license.reveal_key"`,
			add:   "\t\tch.Emit(&eventsv1.LicenseKeyRevealed{LicenseId: licenseID})\n",
		},
		{
			file:  "docs/events.md",
			after: "| `license.expiring` |",
			add:   "| `license.key_revealed` | state | an administrator had the key shown |\n",
		},
		{file: "services/license/recipe_test.go", add: example("event_test.go.txt")},
	},
	contracts: true,
	packages:  []string{"./services/license"},
	tests:     "TestKeyRevealedIsTold",
}

// eventMember tells which notice of a license's end is the last.
var eventMember = recipe{
	name:    "event-member",
	section: "Add a member to an event",
	most:    3,
	steps: []step{
		{file: "proto/latchkey/events/v1/license.proto",
			after: "int32 days_left = 3;", add: "  bool last_notice = 7;\n"},
		{
			file:  licenseFolder + "licensing/expiring.go",
			after: "DaysLeft: int32(",
			add:   "\t\tLastNotice: days == 1,\n",
		},
		{file: licenseFolder + "licensing/recipe_test.go", add: example("event_member_test.go.txt")},
	},
	contracts: true,
	packages:  []string{"./services/license/internal/licensing"},
	tests:     "TestLastNotice",
}
