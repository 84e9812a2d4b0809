//go:build unix

package e2e

import (
	"fmt"
	"net/http"
)

// springFloods are those by the keys of a LicenseSpring integration, which are shipped with an application.
var springFloods = []flood{
	{
		name:   "LicenseSpring reads",
		leaves: told,
		operations: "licenseSpringCheck licenseSpringProductDetails licenseSpringProducts licenseSpringCheckFeature " +
			"licenseSpringVariables licenseSpringVersions licenseSpringInstallationFile licenseSpringUserLicenses " +
			"licenseSpringCheckBundle licenseSpringDeviceLicenses licenseSpringCustomerLicenseUsers",
		status:  200,
		refused: tooMany,
		call: func(f *flooder, i int) answer {
			for _, path := range []string{"product_details", "products", "check_license_feature",
				"get_device_variables", "versions", "installation_file", "user_licenses", "check_bundle",
				"device_licenses", "customer_license_users"} {
				f.spring("GET", path, f.parameters("pc", "feature", f.fresh("f"), "username", f.fresh("u"))...)
			}
			return f.spring("GET", "check_license", f.parameters("pc")...)
		},
	},
	{
		name:       "LicenseSpring seats that are handed on",
		leaves:     changed + told + "license.devices analytics.devices",
		operations: "licenseSpringActivate licenseSpringDeactivate",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			pc := f.fresh("pc")
			f.spring("POST", "deactivate_license", f.parameters("pc")...)
			f.spring("POST", "activate_license", f.parameters(pc)...)
			f.spring("POST", "activate_license", f.parameters(f.fresh("refused"))...)
			return f.spring("POST", "deactivate_license", f.parameters(pc)...)
		},
	},
	{
		name:   "LicenseSpring consumption, slots and variables",
		leaves: changed + told + "license.counter_operations license.leases",
		operations: "licenseSpringAddConsumption licenseSpringAddFeatureConsumption licenseSpringBorrow " +
			"licenseSpringRelease licenseSpringBorrowFeature licenseSpringReleaseFeature licenseSpringTrackVariables",
		status:  200,
		refused: tooMany,
		call: func(f *flooder, i int) answer {
			f.spring("POST", "activate_license", f.parameters("pc")...)
			for _, path := range []string{"add_consumption", "add_feature_consumption", "floating/feature_borrow",
				"floating/feature_release", "floating/borrow", "floating/release"} {
				f.spring("POST", path, f.parameters("pc", "feature", f.fresh("f"))...)
			}
			return f.send(f.now, "POST", "track_device_variables", deviceWith(f.springs, "pc",
				`"product":"desktop","variables":{"`+f.fresh("v")+`":"x"}`))
		},
	},
	{
		name:       "LicenseSpring requests of a device without a network",
		leaves:     changed + told + "license.offline_requests",
		operations: "licenseSpringActivateOffline licenseSpringRefreshOffline licenseSpringDeactivateOffline",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			f.carried("activate_offline", "activation")
			f.carried("refresh_offline", "activation")
			return f.carried("deactivate_offline", "deactivation")
		},
	},
	{
		name:   "LicenseSpring bundles and passwords that are wrong",
		leaves: "license.rate_limits",
		operations: "licenseSpringChangePassword licenseSpringActivateBundle licenseSpringDeactivateBundle " +
			"licenseSpringActivateBundleOffline licenseSpringDeactivateBundleOffline",
		status:  http.StatusBadRequest,
		refused: tooMany,
		call: func(f *flooder, i int) answer {
			for _, path := range []string{"activate_bundle", "deactivate_bundle", "activate_bundle_offline",
				"deactivate_bundle_offline"} {
				f.spring("POST", path, f.parameters("pc")...)
			}
			return f.send(f.now, "POST", "change_password", fmt.Sprintf(`{"product":"studio",`+
				`"username":"%s@example.com","password":"x","new_password":"battery staple"}`, f.fresh("ada")),
				"X-Forwarded-For", "192.0.2.9")
		},
	},
	{
		name: "LicenseSpring trials",
		leaves: changed + "admin.audit_entries analytics.licenses license.customers license.licenses " +
			"license.trials",
		operations: "licenseSpringTrialKey",
		status:     200,
		refused:    tooMany,
		call: func(f *flooder, i int) answer {
			return f.signed(f.app, "GET", "trial_key", "product", "desktop", "email", f.fresh("ada")+"@example.com")
		},
	},
}
