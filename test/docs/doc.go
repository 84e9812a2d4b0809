// Package docs tests the documentation against the repository. The pages and the code lie outside of this module, where
// go test does not see that they have changed: after a change run it with -count=1.
package docs
