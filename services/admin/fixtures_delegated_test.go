package admin_test

import "strings"

const (
	anOrganisation   = "29f45dfa37864357d8c02aa4"
	theDelegated     = "/api/v1/admin/delegated"
	theOrganisations = theDelegated + "/organisations"
	organisationPath = theOrganisations + "/" + anOrganisation
	theOrganisation  = `{"organisation":"29f45dfa37864357d8c02aa4","name":"Doe","total_credit":300,"used_credit":17,` +
		`"created_at":"2026-03-02T12:00:00Z"}`
	theMaster = `"master":"5c80f8f9fe12df25ad48c25b","organisation":"29f45dfa37864357d8c02aa4","product":"studio",` +
		`"operating_system":"linux","comment":null,"license_id":"` + licenseID +
		`","created_at":"2026-03-02T12:00:00Z","revoked_at":null`
	theSlave = `{"slave":"6c80f8f9fe12df25ad48c25b","organisation":"29f45dfa37864357d8c02aa4",` +
		`"master":"5c80f8f9fe12df25ad48c25b","comment":"X","used":false,"runtime_key":null,` +
		`"created_at":"2026-03-02T12:00:00Z","used_at":null,"revoked_at":null}`
	theCharge = `{"charge_id":"` + licenseID + `","kind":"credit","amount":300,"total_credit":300,"used_credit":0,` +
		`"reason":"invoice","actor_id":"a","actor_name":"Ada","master":null,"slave":null,"license_id":null,` +
		`"runtime_key":null,"at":"2026-03-02T12:00:00Z"}`
	theOnlyPage = `"page":1,"per_page":50,"total":1,"total_pages":1,"next_cursor":null}`
)

// delegatedRoutes are those of delegated keys.
var delegatedRoutes = []forwardedRoute{
	{"license", "GET", theOrganisations, ``, 200, `{"organisations":[` + theOrganisation + `],` + theOnlyPage},
	{"license", "POST", theOrganisations, `{"name":"Doe","credits":300}`, 201, theOrganisation},
	{"license", "GET", organisationPath, ``, 200, theOrganisation},
	{"license", "POST", organisationPath + "/credits", `{"amount":1,"reason":"invoice"}`, 200, theOrganisation},
	{"license", "POST", organisationPath + "/masters", `{"product":"studio","operating_system":"linux"}`, 201,
		`{` + theMaster + `,"master_key":"7JCVgZbG","public_key_pem":"-----BEGIN"}`},
	{"license", "GET", organisationPath + "/masters", ``, 200, `{"masters":[{` + theMaster + `}],` + theOnlyPage},
	{"license", "GET", organisationPath + "/slaves", ``, 200, `{"slaves":[` + theSlave + `],` + theOnlyPage},
	{"license", "GET", organisationPath + "/charges", ``, 200, `{"charges":[` + theCharge + `],` + theOnlyPage},
	{"license", "POST", theDelegated + "/masters/" + anOrganisation + "/slaves",
		`{"slaves":[{"slave_key":"` + strings.Repeat("key0123456", 4) + `"}]}`, 200,
		`{"results":[{"index":0,"outcome":"created","slave":` + theSlave +
			`,"error_code":null,"error":null,"details":{}}],"created_count":1,` +
			`"updated_count":0,"unchanged_count":0,"failed_count":0}`},
	{"license", "DELETE", theDelegated + "/masters/" + anOrganisation, ``, 200, `{` + theMaster + `}`},
	{"license", "DELETE", theDelegated + "/slaves/" + anOrganisation, ``, 200, theSlave},
}
