package admin_test

const (
	theProduct = "/api/v1/admin/products/editor"
	aProduct   = `{"product_id":"` + licenseID + `","code":"editor","name":"Editor","authorization_method":"key",` +
		`"is_active":true,"min_version":null,"bundle":[],` +
		`"metadata":{},"version":3,"created_at":"2026-03-02T11:00:00Z","updated_at":"2026-03-02T12:00:00Z"}`
	aRelease = `{"version":"2.1.0","released_at":"2026-03-02T11:00:00Z","channel":null,"environment":null,` +
		`"url":null,"size":null,"sha256":null,"md5":null,` +
		`"requires_version":null,"release_notes_url":null,"eula_url":null,"enabled":true,` +
		`"created_at":"2026-03-02T11:00:00Z"}`
	thePolicy = "/api/v1/admin/policies/editor"
	aPolicy   = `{"policy_id":"` + licenseID + `","code":"pro","name":"Pro","product":null,` + theTerms +
		`"version":3,"created_at":"2026-03-02T11:00:00Z","updated_at":"2026-03-02T12:00:00Z"}`
	onePage = `"page":1,"per_page":50,"total":1,"total_pages":1,"next_cursor":null}`
)

// catalogRoutes are those of products, releases and policies.
var catalogRoutes = []forwardedRoute{
	{"license", "POST", "/api/v1/admin/products", `{"code":"editor"}`, 201, aProduct},
	{"license", "GET", "/api/v1/admin/products", ``, 200, `{"products":[` + aProduct + `],` + onePage},
	{"license", "GET", theProduct, ``, 200, aProduct},
	{"license", "PATCH", theProduct, `{}`, 200, aProduct},
	{
		"license", "POST", theProduct + "/signing-key/rotate", `{"overlap_hours":24}`, 200,
		`{"product":"editor","kid":"9e11f6f9def41f7f","not_before":"2026-03-02T12:00:00Z",` +
			`"not_after":"2036-02-28T12:00:00Z"}`,
	},
	{"license", "DELETE", theProduct, ``, 200, `{"code":"editor","deleted":true}`},
	{"license", "POST", theProduct + "/releases", `{"version":"2.1.0"}`, 201, aRelease},
	{"license", "GET", theProduct + "/releases", ``, 200,
		`{"product":"editor","releases":[` + aRelease + `],` + onePage},
	{"license", "PATCH", theProduct + "/releases/2.1.0", `{}`, 200, aRelease},
	{"license", "DELETE", theProduct + "/releases/2.1.0", ``, 200,
		`{"product":"editor","version":"2.1.0","deleted":true}`},
	{"license", "POST", theLicenses + "/change-policy", `{"policy":"pro"}`, 200, theLicense},
	{"license", "POST", "/api/v1/admin/policies", `{"code":"pro"}`, 201, aPolicy},
	{"license", "GET", "/api/v1/admin/policies", ``, 200, `{"policies":[` + aPolicy + `],` + onePage},
	{"license", "GET", thePolicy, ``, 200, aPolicy},
	{"license", "PATCH", thePolicy, `{}`, 200, aPolicy},
	{"license", "DELETE", thePolicy, ``, 200, `{"code":"pro","deleted":true}`},
}
