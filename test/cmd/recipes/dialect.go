//go:build unix

package main

// dialect is a protocol of plain text: one word for a license key.
var dialect = recipe{
	name:    "dialect",
	section: "Add a dialect",
	most:    3,
	steps: []step{
		{file: licenseFolder + "dialect/plain/plain.go", add: example("dialect.go.txt")},
		{
			file:  "services/license/routes.go",
			after: `"github.com/latchkey-dev/latchkey/services/license/internal/api"`,
			add: "\t\"github.com/latchkey-dev/latchkey/pkg/httpx\"\n" +
				"\t\"github.com/latchkey-dev/latchkey/services/license/internal/dialect/plain\"\n",
		},
		{
			file:  "services/license/routes.go",
			after: "OpenAPI: openapi.License,",
			add:   " Errors: map[string]httpx.ErrorWriter{plain.Path: plain.WriteError},",
		},
		{
			file:  "services/license/routes.go",
			after: "}).Routes(public)",
			add:   "\tplain.New(plain.Deps{Seats: s.seats, RequireAPIKey: s.guard.Require()}).Routes(public)\n",
		},
		{file: "proto/openapi/license.yaml", after: "paths:", add: example("dialect_openapi.yaml")},
		{file: "services/license/recipe_test.go", add: example("dialect_test.go.txt")},
	},
	packages: []string{"./services/license"},
	tests:    "TestPlain|TestDocumentMatchesRoutes",
}
