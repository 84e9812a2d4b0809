//go:build unix

package main

const licenseFolder = "services/license/internal/"

// eventMember tells which notice of a license's end is the last.
var eventMember = recipe{
	name:    "event-member",
	section: "Add a member to an event",
	most:    3,
	steps: []step{
		{file: "proto/latchkey/events/v1/license.proto", after: "int32 days_left = 3;", add: "  bool last_notice = 7;\n"},
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
