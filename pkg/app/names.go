package app

import "github.com/latchkey-dev/latchkey/pkg/config"

// Names are the environment names of all settings of all services, so that a service does not take a peer's variable
// for a typing error when they share an environment. A test of the suite compares the list with the structs.
func Names() []string {
	return append(config.Names(&Base{}, &MasterKeys{}, &TokenLimit{}, &Clients{}),
		"LATCHKEY_ADMIN_SECRET", "LATCHKEY_ADMIN_SECRET_PREVIOUS", "LATCHKEY_ADMIN_API_KEY",
		"LATCHKEY_CACHE_BYTES", "LATCHKEY_DIALECTS", "LATCHKEY_EDGE", "LATCHKEY_EDGE_CHECK_EVERY",
		"LATCHKEY_EDGE_PRIVATE_UPSTREAM", "LATCHKEY_EDGE_PRODUCT", "LATCHKEY_EDGE_ROOTS", "LATCHKEY_EDGE_URL",
		"LATCHKEY_GEOIP_FILE", "LATCHKEY_RETENTION_DAYS")
}

// embeddedOnly are the settings of the suite in one process, with what a service by itself takes instead.
func embeddedOnly() map[string]string {
	const addr = "is for the suite in one process (latchkey); set LATCHKEY_ADDR"
	return map[string]string{
		"LATCHKEY_DATA_DIR":       "is for the suite in one process (latchkey); set LATCHKEY_DATABASE_URL",
		"LATCHKEY_AUTH_ADDR":      addr,
		"LATCHKEY_LICENSE_ADDR":   addr,
		"LATCHKEY_ANALYTICS_ADDR": addr,
		"LATCHKEY_ADMIN_ADDR":     addr,
	}
}
