//go:build unix

package main

import "embed"

// recipes are the examples, each following a section of CONTRIBUTING.md.
var recipes = []recipe{endpoint, licenseMember, newEvent, eventMember, setting, newDetector, dialect, role}

//go:embed testdata
var examples embed.FS

// example is a file of the examples.
func example(name string) string {
	raw, err := examples.ReadFile("testdata/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(raw)
}
