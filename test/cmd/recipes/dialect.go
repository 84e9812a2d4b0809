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
			file:  "services/license/dialects.go",
			after: `"github.com/latchkey-dev/latchkey/pkg/httpx"`,
			add:   "\n\t\"github.com/latchkey-dev/latchkey/services/license/internal/dialect/plain\"",
		},
		{
			file:  "services/license/dialects.go",
			after: "dialectNames = []string{",
			add:   `"plain", `,
		},
		{
			file:  "services/license/dialects.go",
			after: "all := []dialect{",
			add: "\n\t\t{\n\t\t\tname: \"plain\", paths: []string{plain.Path}, writeError: plain.WriteError,\n" +
				"\t\t\troutes: plain.New(plain.Deps{Seats: s.seats, RequireAPIKey: s.guard.Require()}).Routes,\n\t\t},",
		},
		{file: "proto/openapi/license.yaml", after: "paths:", add: example("dialect_openapi.yaml")},
		{file: "services/license/recipe_test.go", add: example("dialect_test.go.txt")},
	},
	packages: []string{"./services/license"},
	tests:    "TestPlain|TestDocumentMatchesRoutes",
}
