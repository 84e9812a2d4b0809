package audit

// Actions are the names of the audited actions, sorted; a search by another name is refused.
var Actions = []string{
	"admin_key.configure", "admin_key.create", "admin_key.delete", "anomaly.judge", "api_key.create", "api_key.revoke",
	"api_key.rotate", "api_key.update", "appliance.configure_cloud", "appliance.generate_machine_id",
	"appliance.upload_license", "customer.create", "customer.erase", "customer.update", "delegated.add_credit",
	"delegated.create_master", "delegated.create_organisation", "delegated.import_slave", "delegated.revoke_master",
	"delegated.revoke_slave", "device.block", "device.deactivate", "device.label", "device.unblock", "group.create",
	"group.delete", "group.update", "integration.create", "integration.delete", "integration.rotate_key",
	"lease.release", "license.change_policy", "license.convert", "license.counter.adjust", "license.counter.reset",
	"license.counter.set", "license.create", "license.create_enrollment_key", "license.deactivate",
	"license.delete_enrollment_key", "license.find_by_key", "license.import", "license.issue_file",
	"license.reactivate", "license.reinstate", "license.renew", "license.reset_transfers", "license.reveal_key",
	"license.rotate_key", "license.suspend", "license.transfer", "license.update", "policy.create", "policy.delete",
	"policy.update", "product.create", "product.delete", "product.rotate_signing_key", "product.update",
	"release.create", "release.delete", "release.update", "signing_key.revoke", "signing_key.rotate", "user.assign",
	"user.create", "user.delete", "user.reset_password", "user.unassign", "user.update",
}
