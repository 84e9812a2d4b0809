// Package obs is how a service shows what it does: structured logs that cannot hold a secret, and metrics.
package obs

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// Set by the linker: -ldflags "-X github.com/latchkey-dev/latchkey/pkg/obs.version=v1.2.3 -X ...obs.commit=abc".
// Nothing else writes them.
var version, commit string

// Build says which program this is.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// ReadBuild returns what the linker was told, and else what the Go command recorded.
func ReadBuild() Build {
	b := Build{Version: version, Commit: commit, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if ok {
		if info.Main.Version != "(devel)" {
			b.Version = cmp.Or(b.Version, info.Main.Version)
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = cmp.Or(b.Commit, s.Value)
			}
		}
	}
	b.Version = cmp.Or(b.Version, "dev")
	b.Commit = cmp.Or(b.Commit, "unknown")
	return b
}
