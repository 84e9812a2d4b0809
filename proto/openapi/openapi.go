// Package openapi embeds the OpenAPI 3.1 document of each service. They are written by hand and checked by tests:
// against the routers, and against every response that the tests see.
package openapi

import _ "embed"

// The documents, as YAML.
var (
	//go:embed auth.yaml
	Auth []byte
	//go:embed license.yaml
	License []byte
	//go:embed analytics.yaml
	Analytics []byte
	//go:embed admin.yaml
	Admin []byte
)
