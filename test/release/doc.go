// Package release tests what releases are made of: .goreleaser.yaml, the workflows, and the programs that they build.
package release
