//go:build unix

package main

// endpoint answers what a license key opens.
var endpoint = recipe{
	name:    "endpoint",
	section: "Add an endpoint",
	most:    4,
	steps: []step{
		{file: "proto/openapi/license.yaml", after: "paths:", add: example("endpoint_openapi.yaml")},
		{
			file:  licenseFolder + "api/routes.go",
			after: `g.POST("/validate-offline"`,
			add:   "\tg.POST(\"/features\", a.RequireAPIKey, wire.Wrap(a.features))\n",
		},
		{file: licenseFolder + "api/features.go", add: example("endpoint_handler.go.txt")},
		{file: licenseFolder + "licensing/features.go", add: example("endpoint_usecase.go.txt")},
		{file: "services/license/recipe_test.go", add: example("endpoint_test.go.txt")},
	},
	packages: []string{"./services/license"},
	tests:    "TestFeatures|TestDocumentMatchesRoutes",
}
