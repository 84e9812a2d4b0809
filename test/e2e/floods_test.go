//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// What events leave: told those of what is only counted, changed those of a change of a license.
const (
	told    = "analytics.events analytics.telemetry_inbox "
	changed = "license.outbox analytics.events analytics.inbox "
)

// tooMany answers calls beyond a limit.
const tooMany = http.StatusTooManyRequests

var floods = []flood{
	{
		name:       "made-up access tokens",
		operations: "verifyToken",
		status:     401,
		call: func(f *flooder, i int) answer {
			return f.stranger("POST", f.AuthURL+"/api/v1/auth/verify", "", "Authorization", "Bearer x.y.z")
		},
	},
	{
		name:   "changed access tokens",
		status: 401,
		call: func(f *flooder, i int) answer {
			return f.stranger("POST", f.AuthURL+"/api/v1/auth/verify", "", "Authorization", "Bearer "+f.access+"A")
		},
	},
	{
		name:       "made-up refresh tokens",
		operations: "refreshToken",
		status:     401,
		call: func(f *flooder, i int) answer {
			return f.stranger("POST", f.AuthURL+"/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":"rt_%d"}`, i))
		},
	},
	{
		name:       "made-up offline tokens",
		operations: "validateOfflineToken",
		status:     401,
		call: func(f *flooder, i int) answer {
			return f.stranger("POST", f.LicenseURL+"/api/v1/license/validate-offline",
				fmt.Sprintf(`{"token":"a.b.%d","hardware_id":"pc"}`, i))
		},
	},
	{
		name:   "wrong credentials at every operation",
		status: 401,
		call: func(f *flooder, i int) answer {
			var last answer
			portion := len(f.guarded)/10 + 1
			for n := range portion {
				op := f.guarded[(i*portion+n)%len(f.guarded)]
				at := op.url + pathParameter.ReplaceAllLiteralString(op.path, unknownID)
				last = f.stranger(op.method, at, example(op), op.header, op.prefix+f.fresh("sk"))
			}
			return last
		},
	},
	{
		name: "what is open to anybody",
		operations: "listPublicKeys listFileKeys listLeaseKeys licenseSpringPublicKey licenseSpringOAuthURL " +
			"licenseSpringSSOURL licenseSpringToken",
		status: 200,
		call: func(f *flooder, i int) answer {
			for _, path := range []string{"/api/v1/license/keys", "/api/v1/license/leases/keys", "/api/v4/public_key",
				"/api/v4/oauth_url", "/api/v4/sso_url"} {
				f.stranger("GET", f.LicenseURL+path, "")
			}
			f.stranger("POST", f.LicenseURL+"/api/v4/oauth/token",
				"grant_type=client_credentials&client_id=x&client_secret=y", "Content-Type",
				"application/x-www-form-urlencoded")
			return f.stranger("GET", f.AuthURL+"/.well-known/jwks.json", "")
		},
	},
	{
		name:       "made-up delegated keys",
		leaves:     told,
		operations: "activateDelegated activateDelegatedByQuery addSlave",
		status:     400,
		call: func(f *flooder, i int) answer {
			key := fmt.Sprintf("%08x", i) + f.partner[8:] // what no key can be is not looked for
			switch i % 3 {
			case 0:
				return f.stranger("POST", f.LicenseURL+"/slaves", fmt.Sprintf(`{"masterKey":%q}`, key))
			case 1:
				return f.stranger("GET", f.LicenseURL+"/activate?slaveKey="+url.QueryEscape(key)+"&runtimeKey=pc", "")
			}
			return f.stranger("POST", f.LicenseURL+"/activate",
				fmt.Sprintf(`{"masterOrSlaveKey":%q,"runtimeKey":%q}`, key, key))
		},
	},
	{
		name:    "delegated keys for made-up devices",
		leaves:  told,
		status:  201,
		refused: tooMany,
		window:  60,
		call: func(f *flooder, i int) answer {
			return f.ask("POST", f.LicenseURL+"/activate",
				fmt.Sprintf(`{"masterOrSlaveKey":%q,"runtimeKey":%q}`, f.master, f.fresh("pc")))
		},
	},
	{
		name:    "slave keys",
		leaves:  "license.delegated_slaves license.idempotency_keys",
		status:  200,
		refused: tooMany,
		window:  60,
		call: func(f *flooder, i int) answer {
			return f.ask("POST", f.LicenseURL+"/slaves", fmt.Sprintf(`{"masterKey":%q}`, f.partner))
		},
	},

	{
		name:       "validations",
		leaves:     told,
		operations: "validateLicense",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			return f.post("validate", deviceWith(f.own, "pc", `"device_name":"`+f.fresh("pc")+`"`))
		},
	},
	{
		name:    "made-up license keys",
		leaves:  told,
		status:  404,
		refused: tooMany,
		call: func(f *flooder, i int) answer {
			path := []string{"validate", "activate", "deactivate", "leases", "consume", "license-file"}[i%6]
			return f.post(path, deviceWith(f.fresh("LIC-WRONG"), "pc", `"counter":"exports"`))
		},
	},
	{
		name:    "made-up devices validate",
		leaves:  told,
		status:  200,
		refused: tooMany,
		call:    func(f *flooder, i int) answer { return f.post("validate", device(f.own, f.fresh("pc"))) },
	},
	{
		name:       "made-up devices activate",
		leaves:     told,
		operations: "activateLicense",
		status:     403,
		refused:    tooMany,
		call:       func(f *flooder, i int) answer { return f.post("activate", device(f.own, f.fresh("pc"))) },
	},
	{
		name: "a seat that is handed on",
		leaves: changed + told + "license.devices license.idempotency_keys license.counter_devices " +
			"analytics.devices",
		operations: "deactivateOwnDevice",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			f.post("deactivate", device(f.cycled, "pc"))
			pc := f.fresh("pc")
			f.post("activate", device(f.cycled, pc))
			f.post("consume", deviceWith(f.cycled, pc, `"counter":"exports"`))
			return f.post("deactivate", device(f.cycled, pc))
		},
	},
	{
		name:    "a device that is recognized by another name each time",
		leaves:  told + changed + "license.idempotency_keys analytics.devices",
		status:  200,
		refused: tooMany,
		call: func(f *flooder, i int) answer {
			path := []string{"validate", "activate"}[i%2]
			return f.post(path, deviceWith(f.matched, f.fresh("pc"), components))
		},
	},
	{
		name:       "token pairs",
		leaves:     "auth.idempotency_keys auth.refresh_tokens auth.token_families",
		operations: "createToken",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			return f.ask("POST", f.AuthURL+"/api/v1/auth/token",
				fmt.Sprintf(`{"license_id":%q,"hardware_id":"pc"}`, f.id), "X-API-Key", f.now.apiKey)
		},
	},
	{
		name:    "refreshes",
		leaves:  "auth.refresh_tokens",
		status:  200,
		refused: tooMany,
		window:  tokenLimit,
		call: func(f *flooder, i int) answer {
			a := f.ask("POST", f.AuthURL+"/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, f.rotated))
			if a.status == 200 {
				f.rotated = a.text("refresh_token")
			}
			return a
		},
	},
	{
		name:    "one refresh token again and again",
		status:  200,
		refused: tooMany,
		window:  tokenLimit,
		call: func(f *flooder, i int) answer {
			return f.ask("POST", f.AuthURL+"/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, f.repeated))
		},
	},
	{
		name:       "heartbeats",
		leaves:     told,
		operations: "recordHeartbeat",
		status:     200,
		refused:    tooMany,
		window:     tokenLimit,
		call: func(f *flooder, i int) answer {
			return f.ask("POST", f.LicenseURL+"/api/v1/license/heartbeat",
				`{"session_data":{"a":"`+strings.Repeat("x", 4000)+`"}}`, "Authorization", "Bearer "+f.access)
		},
	},
	{
		name:       "offline tokens",
		leaves:     changed,
		operations: "createOfflineToken",
		status:     201,
		refused:    tooMany,
		window:     tokenLimit,
		call: func(f *flooder, i int) answer {
			return f.ask("POST", f.LicenseURL+"/api/v1/license/offline-token", `{"duration_hours":1}`, "Authorization",
				"Bearer "+f.offlineAccess)
		},
	},
	{
		name:       "renewals of a lease",
		operations: "renewLease",
		status:     200,
		refused:    tooMany,
		window:     tokenLimit,
		call: func(f *flooder, i int) answer {
			return f.ask("POST", f.LicenseURL+"/api/v1/license/leases/"+f.lease+"/renew", "", "Authorization",
				"Bearer "+f.leaseToken)
		},
	},
	{
		name:       "leases of made-up devices",
		leaves:     told + changed + "license.idempotency_keys license.leases license.counter_devices",
		operations: "checkOutLease releaseLease",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			pc := f.fresh("pc")
			a := f.post("leases", device(f.pooled, pc))
			if a.status != 201 {
				return a
			}
			f.post("consume", deviceWith(f.pooled, pc, `"counter":"exports"`))
			return f.ask("DELETE", f.LicenseURL+"/api/v1/license/leases/"+a.text("lease_id"), "", "Authorization",
				"Bearer "+a.text("lease_token"))
		},
	},
	{
		name:    "leases that are refused",
		leaves:  told,
		status:  403,
		refused: tooMany,
		call: func(f *flooder, i int) answer {
			return f.post("leases", deviceWith(f.own, "pc", fmt.Sprintf(`"session_id":%q`, f.fresh("session"))))
		},
	},
	{
		name:       "consumption",
		leaves:     told + "license.idempotency_keys license.counter_operations",
		operations: "consume undoConsumption",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			operation := fmt.Sprintf(`"operation_id":%q`, f.fresh("job"))
			f.post("consume", deviceWith(f.own, "pc", `"counter":"exports",`+operation))
			return f.post("consume/undo", deviceWith(f.own, "pc", operation))
		},
	},
	{
		name:       "license files",
		leaves:     changed + "license.idempotency_keys",
		operations: "createLicenseFile listRevocations createUsageReport",
		status:     201,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			f.ask("GET", f.LicenseURL+"/api/v1/license/revocations", "", "X-API-Key", f.now.apiKey)
			f.post("usage-report", fmt.Sprintf(`{"usage_report":%q}`, f.fresh("report")))
			return f.post("license-file", deviceWith(f.own, "pc", fmt.Sprintf(`"nonce":"%016d","valid_hours":1`, i)))
		},
	},
	{
		name:       "what a device says of itself",
		leaves:     changed,
		operations: "putVariables labelOwnDevice",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			f.ask("PUT", f.LicenseURL+"/api/v1/license/devices/variables",
				deviceWith(f.own, "pc", fmt.Sprintf(`"variables":{%q:"x"}`, f.fresh("v"))), "X-API-Key", f.now.apiKey)
			return f.ask("PATCH", f.LicenseURL+"/api/v1/license/devices/"+f.device,
				deviceWith(f.own, "pc", fmt.Sprintf(`"label":%q`, f.fresh("label"))), "X-API-Key", f.now.apiKey)
		},
	},
	{
		name:       "sign-ins",
		operations: "signIn",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			return f.post("users/sign-in", `{"product":"studio","email":"ada@example.com","password":"correct horse"}`)
		},
	},
	{
		name:    "wrong passwords of made-up people",
		leaves:  "license.rate_limits",
		status:  401,
		refused: tooMany,
		call: func(f *flooder, i int) answer {
			return f.post("users/sign-in", fmt.Sprintf(`{"product":"studio","email":"%s@example.com","password":"x"}`,
				f.fresh("ada")), "X-Forwarded-For", "192.0.2.8")
		},
	},
	{
		name:       "passwords that are changed",
		leaves:     "license.idempotency_keys license.outbox",
		operations: "changePassword",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			f.passwords = [2]string{f.passwords[1], f.passwords[0]}
			return f.post("users/change-password", fmt.Sprintf(`{"product":"studio","email":"eve@example.com",`+
				`"password":%q,"new_password":%q}`, f.passwords[0], f.passwords[1]))
		},
	},
	{
		name: "analytics by a shipped key",
		operations: "analyzePatterns detectAnomalies calculateRiskScore generateUsageReport getDashboard " +
			"listAnomalies judgeAnomaly",
		status: 403,
		call: func(f *flooder, i int) answer {
			return f.ask("POST", f.AnalyticsURL+"/api/v1/analytics/licenses/"+f.id+"/anomalies/detect", "{}",
				"X-API-Key", f.now.apiKey)
		},
	},
}
