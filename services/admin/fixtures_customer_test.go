package admin_test

const (
	theCustomers = "/api/v1/admin/customers"
	aCustomer    = `"customer_id":"a","name":"Ada","email":"ada@example.com","company":null,"phone":null,` +
		`"address":{"line1":null,` +
		`"line2":null,"city":"London","state":null,"postal_code":null,"country":"GB"},"metadata":{},"version":3,` +
		`"created_at":"2026-03-02T12:00:00Z","updated_at":"2026-03-02T12:00:00Z","erased_at":null`
	theirLicenses = `"licenses":{"total":1,"active":1,"in_grace":0,"not_started":0,"expired":0,"suspended":0,` +
		`"inactive":0}`
)

// customerRoutes are those of customers.
var customerRoutes = []forwardedRoute{
	{"license", "GET", theCustomers, ``, 200, `{"customers":[{` + aCustomer + `}],` + onePage},
	{"license", "GET", theCustomers + "/a", ``, 200, `{` + aCustomer + `,` + theirLicenses + `}`},
	{"license", "PUT", theCustomers + "/a", `{}`, 201, `{` + aCustomer + `}`},
	{"license", "POST", theCustomers + "/a/erase", ``, 200, `{` + aCustomer + `}`},
	{"license", "PATCH", theCustomers + "/a", `{}`, 200, `{` + aCustomer + `}`},
}
