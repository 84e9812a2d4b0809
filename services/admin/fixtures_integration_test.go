package admin_test

const (
	theIntegrations = "/api/v1/admin/integrations/licensespring"
	anIntegration   = `"id":"` + licenseID + `","name":"Desktop","products":[],"read_only":false,"server_side":false,` +
		`"rate_limit":{"per_minute":60,"per_hour":1000,"per":"address"},"created_at":"2026-03-02T11:00:00Z"`
	someKeys = `,"api_key":"` + licenseID + `","shared_key":"s","client_id":"` + licenseID +
		`","client_secret":"c","public_key_pem":"p"`
)

// integrationRoutes are those of integrations.
var integrationRoutes = []forwardedRoute{
	{"license", "POST", theIntegrations, `{"name":"Desktop"}`, 201, `{` + anIntegration + someKeys + `}`},
	{"license", "GET", theIntegrations, ``, 200, `{"integrations":[{` + anIntegration + `}],` + onePage},
	{"license", "POST", theIntegrations + "/" + licenseID + "/rotate", `{"overlap_hours":1}`, 200,
		`{` + anIntegration + someKeys + `}`},
	{"license", "DELETE", theIntegrations + "/" + licenseID, ``, 200, `{"id":"` + licenseID + `","deleted":true}`},
	{"license", "POST", "/api/v1/admin/integrations/spectra/license-file",
		`{"license_id":"` + licenseID + `","machine_ids":["m-1"]}`, 201, "-----BEGIN LATCHKEY CERTIFICATE-----\n"},
}
