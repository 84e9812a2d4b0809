// Package obs is how a service shows what it does: structured logs that cannot hold a secret, and metrics.
package obs

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker at a release, which nothing else writes: -ldflags "-X
// github.com/latchkey-dev/latchkey/pkg/obs.version=v1.2.3", and commit and date likewise.
var version, commit, date string

// Build says which program this is. Date is when the commit was made, so that two builds of it are alike.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Date    string `json:"date"`
	Go      string `json:"go"`
}

// ReadBuild returns what the linker was told, and else what the Go command recorded.
func ReadBuild() Build {
	linked := Build{Version: version, Commit: commit, Date: date}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return linked.completed(info)
}

// completed fills in what the linker was not told. A commit with changes that were not committed ends in "-modified".
func (b Build) completed(info *debug.BuildInfo) Build {
	recorded := map[string]string{}
	for _, s := range info.Settings {
		recorded[s.Key] = s.Value
	}
	if recorded["vcs.modified"] == "true" {
		recorded["vcs.revision"] += "-modified"
	}
	if info.Main.Version == "(devel)" {
		info.Main.Version = ""
	}
	return Build{
		Version: cmp.Or(b.Version, info.Main.Version, "dev"),
		Commit:  cmp.Or(b.Commit, recorded["vcs.revision"], "unknown"),
		Date:    cmp.Or(b.Date, recorded["vcs.time"], "unknown"),
		Go:      runtime.Version(),
	}
}

// Of is the line by which the named program says what it is.
func (b Build) Of(program string) string {
	return fmt.Sprintf("%s %s (commit %s of %s, %s)", program, b.Version, b.Commit, b.Date, b.Go)
}
