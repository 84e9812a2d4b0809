package admin_test

const (
	theGroups = "/api/v1/admin/groups"
	theGroup  = `{"group_id":"` + licenseID +
		`","name":"physics","max_devices":50,"max_licenses":null,"current_devices":2,` +
		`"current_licenses":1,"metadata":{},"version":3,"created_at":"2026-03-02T12:00:00Z",` +
		`"updated_at":"2026-03-02T12:00:00Z"}`
	theUsers = "/api/v1/admin/users"
	theUser  = `{"user_id":"` + licenseID +
		`","product":"studio","customer_id":"acme","email":"ada@example.com","name":null,` +
		`"max_devices":2,"is_locked":false,"must_change_password":true,"license_ids":[],"signed_in_at":null,` +
		`"version":3,` +
		`"created_at":"2026-03-02T12:00:00Z","updated_at":"2026-03-02T12:00:00Z"}`
)

// peopleRoutes are those of groups and users.
var peopleRoutes = []forwardedRoute{
	{"license", "GET", theGroups, ``, 200,
		`{"groups":[` + theGroup + `],"page":1,"per_page":50,"total":1,"total_pages":1,"next_cursor":null}`},
	{"license", "POST", theGroups, `{"name":"physics"}`, 201, theGroup},
	{"license", "GET", theGroups + "/" + licenseID, ``, 200, theGroup},
	{"license", "PATCH", theGroups + "/" + licenseID, `{}`, 200, theGroup},
	{"license", "DELETE", theGroups + "/" + licenseID, ``, 200, `{"group_id":"` + licenseID + `","deleted":true}`},
	{"license", "GET", theUsers, ``, 200,
		`{"users":[` + theUser + `],"page":1,"per_page":50,"total":1,"total_pages":1,"next_cursor":null}`},
	{"license", "POST", theUsers, `{"product":"studio","customer_id":"acme","email":"ada@example.com"}`, 201, theUser},
	{"license", "GET", theUsers + "/" + licenseID, ``, 200, theUser},
	{"license", "PATCH", theUsers + "/" + licenseID, `{}`, 200, theUser},
	{"license", "DELETE", theUsers + "/" + licenseID, ``, 200, `{"user_id":"` + licenseID + `","deleted":true}`},
	{"license", "POST", theUsers + "/" + licenseID + "/reset-password", `{}`, 200, theUser},
	{"license", "PUT", theLicenses + "/users/" + licenseID, ``, 200, theUser},
	{"license", "DELETE", theLicenses + "/users/" + licenseID, ``, 200, theUser},
}
