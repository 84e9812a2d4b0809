// Package migrations holds the schema of the analytics service, a folder for each engine.
package migrations

import "embed"

// FS holds the folders postgres and sqlite.
//
//go:embed postgres sqlite
var FS embed.FS
