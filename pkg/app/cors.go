package app

import "github.com/latchkey-dev/latchkey/pkg/httpx"

// CORS is the setting of the services that client applications call, which may run in a browser.
type CORS struct {
	CORSOrigins []string `key:"cors_origins" env:"LATCHKEY_CORS_ORIGINS" help:"origins whose pages may call the API from a browser, by commas, such as https://app.example.com; * is any, none by default"`
}

// CheckCORS finds what is no origin.
func (c CORS) CheckCORS() error {
	return problemOf(&c, &c.CORSOrigins, httpx.CheckOrigins(c.CORSOrigins))
}
