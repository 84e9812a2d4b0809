package admin_test

const (
	theEnrollmentKeys = theLicenses + "/enrollment-keys"
	anEnrollmentKey   = `{"enrollment_key_id":"` + licenseID + `","license_id":"` + licenseID + `",` +
		`"enrollment_key":"ENR-7KQ2********","label":"classroom","max_devices":30,"current_devices":0,` +
		`"expires_at":null,` +
		`"created_at":"2026-03-02T11:00:00Z"}`
)

// bulkRoutes are those of changes of many licenses.
var bulkRoutes = []forwardedRoute{
	{"license", "POST", licenses + "/bulk",
		`{"action":"reinstate","license_ids":["` + licenseID + `"],"dry_run":false}`, 207,
		`{"dry_run":false,"results":[{"license_id":"` + licenseID + `","ok":false,"error_code":"LICENSE_NOT_FOUND",` +
			`"error":"no license","details":{},"change":{}}],"ok_count":0,"failed_count":1}`},
	{"license", "POST", "/api/v1/admin/policies/editor/apply", `{"dry_run":true}`, 200,
		`{"dry_run":true,"results":[{"license_id":"` + licenseID + `","ok":true,"error_code":null,"error":null,` +
			`"details":{},"change":{"grace_hours":{"from":0,"to":24}}}],"ok_count":1,"failed_count":0}`},
}

// keyRoutes are those of the keys of a license.
var keyRoutes = []forwardedRoute{
	{"license", "POST", theLicenses + "/rotate-key", `{"overlap_hours":24}`, 200,
		theLicense[:len(theLicense)-1] + `,"former_key_valid_until":"2026-03-03T12:00:00Z"}`},
	{"license", "POST", theEnrollmentKeys, `{"label":"classroom","max_devices":30}`, 201, anEnrollmentKey},
	{"license", "GET", theEnrollmentKeys, ``, 200, `{"enrollment_keys":[` + anEnrollmentKey + `],` + onePage},
	{"license", "DELETE", theEnrollmentKeys + "/" + licenseID, ``, 200,
		`{"enrollment_key_id":"` + licenseID + `","deleted":true}`},
}
