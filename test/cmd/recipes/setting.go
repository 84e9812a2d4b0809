//go:build unix

package main

// setting lets an installation begin its license keys with a word of its own.
var setting = recipe{
	name:    "setting",
	section: "Add a setting",
	most:    2,
	steps: []step{
		{
			file:  "services/license/config.go",
			after: "CacheBytes int64 `key:",
			add:   "\tKeyPrefix string `key:\"key_prefix\" default:\"LIC\" help:\"begins new keys\"`\n",
		},
		{file: "pkg/app/names.go", after: `"LATCHKEY_ADMIN_SECRET_PREVIOUS"`, add: "\t\t\"LATCHKEY_KEY_PREFIX\",\n"},
		{file: "services/license/recipe_test.go", add: example("setting_test.go.txt")},
	},
	packages: []string{"./services/license", "./services/standalone"},
	tests:    "TestKeyPrefix|TestNames.*",
}
