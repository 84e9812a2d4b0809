//go:build unix

package main

const adminFolder = "services/admin/internal/"

// role lets the support desk have keys of its own.
var role = recipe{
	name:    "role",
	section: "Add a role of admin keys",
	most:    4,
	steps: []step{
		{
			file:  adminFolder + "adminkey/role.go",
			after: `Viewer Role = "viewer"`,
			add:   "\t// Support will do more than read.\n\tSupport Role = \"support\"\n",
		},
		{file: adminFolder + "adminkey/role.go", after: "string(Viewer), ", add: "string(Support), "},
		{file: adminFolder + "store/migrations/postgres/00099_support.sql", add: example("role_postgres.sql")},
		{file: adminFolder + "store/migrations/sqlite/00099_support.sql", add: example("role_sqlite.sql")},
		{file: "proto/openapi/admin.yaml", after: "enum: [owner, operator, ", add: "support, "},
		{file: "services/admin/recipe_test.go", add: example("role_test.go.txt")},
	},
	packages: []string{"./services/admin"},
	tests:    "TestSupport",
}
