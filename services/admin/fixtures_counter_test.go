package admin_test

const (
	theEntitlement = theLicenses + "/entitlements/editor"
	anEntitlement  = `"code":"editor","name":null,"expires_at":null,"slots":null,"counter":null,"metadata":{}}`
	theCounter     = theLicenses + "/counters/exports"
	aCounterState  = `"used":3,"overage_used":0,"remaining":7,"period_start":"2026-03-01T00:00:00Z","resets_at":null`
	aCounter       = `"name":"exports","limit":10,"overage":0,"allow_negative":false,"reset":null,` +
		`"anchor":"calendar",` +
		`"per_device":false,` + aCounterState + `,"devices":null}`
	aCorrection = `{"license_id":"` + licenseID + `","counter":"exports","limit":10,` + aCounterState +
		`,"clamped":false}`
)

// counterRoutes are those of entitlements and counters.
var counterRoutes = []forwardedRoute{
	{"license", "GET", theLicenses + "/entitlements", ``, 200,
		`{"license_id":"` + licenseID + `","entitlements":[{` + anEntitlement +
			`],"page":1,"per_page":100,"total":1,"total_pages":1,"next_cursor":null}`},
	{"license", "PUT", theEntitlement, `{}`, 200, `{"license_id":"` + licenseID + `",` + anEntitlement},
	{"license", "DELETE", theEntitlement, ``, 200, `{"license_id":"` + licenseID + `","code":"editor","deleted":true}`},
	{"license", "GET", theLicenses + "/counters", ``, 200,
		`{"license_id":"` + licenseID + `","counters":[{` + aCounter +
			`],"page":1,"per_page":100,"total":1,"total_pages":1,"next_cursor":null}`},
	{"license", "PUT", theCounter, `{"limit":10}`, 200, `{"license_id":"` + licenseID + `",` + aCounter},
	{"license", "DELETE", theCounter, ``, 200, `{"license_id":"` + licenseID + `","name":"exports","deleted":true}`},
	{"license", "POST", theCounter + "/adjust", `{"amount":1}`, 200, aCorrection},
	{"license", "POST", theCounter + "/set", `{"used":3}`, 200, aCorrection},
	{"license", "POST", theCounter + "/reset", ``, 200, aCorrection},
	{"license", "GET", theCounter + "/history", ``, 200,
		`{"license_id":"` + licenseID + `","counter":"exports","history":[],"page":1,"per_page":50,"total":0,` +
			`"total_pages":0,"next_cursor":null}`},
}
