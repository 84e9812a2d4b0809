// Package docs tests the documentation against the repository.
package docs
