package admin_test

const (
	theDevice = theLicenses + "/devices/" + licenseID
	aDevice   = `{"license_id":"` + licenseID + `","device_id":"` + licenseID + `",` +
		`"hardware_id":"desk","device_name":null,` +
		`"label":"Reception","os_info":null,"app_version":null,"session_data":null,"is_active":true,` +
		`"activated_at":"2026-03-02T11:00:00Z","last_seen_at":null,"deactivated_at":null,"variables":{"room":"4.12"}}`
	theBlocks = "/api/v1/admin/blocks"
	aBlock    = `{"block_id":"` + licenseID + `","hardware_id":null,"network":"192.0.2.0/24","component":null,` +
		`"license_id":null,"product":null,"reason":"abuse","until":null,"created_at":"2026-03-02T11:00:00Z"}`
)

// deviceRoutes are those of single devices and of blocks.
var deviceRoutes = []forwardedRoute{
	{"license", "GET", theDevice, ``, 200, aDevice},
	{"license", "PATCH", theDevice, `{"label":"Reception"}`, 200, aDevice},
	{"license", "POST", theLicenses + "/reset-transfers", ``, 200, theLicense},
	{"license", "POST", theBlocks, `{"network":"192.0.2.0/24","reason":"abuse"}`, 201, aBlock},
	{"license", "GET", theBlocks, ``, 200, `{"blocks":[` + aBlock + `],` + onePage},
	{"license", "DELETE", theBlocks + "/" + licenseID, ``, 200, `{"block_id":"` + licenseID + `","deleted":true}`},
}
