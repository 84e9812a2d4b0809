package admin_test

const (
	theGroups = "/api/v1/admin/groups"
	theGroup  = `{"group_id":"` + licenseID + `","name":"physics","max_devices":50,"max_licenses":null,"current_devices":2,` +
		`"current_licenses":1,"metadata":{},"version":3,"created_at":"2026-03-02T12:00:00Z","updated_at":"2026-03-02T12:00:00Z"}`
)

// peopleRoutes are those of groups and users.
var peopleRoutes = []forwardedRoute{
	{"license", "GET", theGroups, ``, 200,
		`{"groups":[` + theGroup + `],"page":1,"per_page":50,"total":1,"total_pages":1,"next_cursor":null}`},
	{"license", "POST", theGroups, `{"name":"physics"}`, 201, theGroup},
	{"license", "GET", theGroups + "/" + licenseID, ``, 200, theGroup},
	{"license", "PATCH", theGroups + "/" + licenseID, `{}`, 200, theGroup},
	{"license", "DELETE", theGroups + "/" + licenseID, ``, 200, `{"group_id":"` + licenseID + `","deleted":true}`},
}
