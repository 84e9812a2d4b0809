package licensing

import (
	"context"
	"slices"
)

// The version of a license counts its changes. Who names in If-Match those that were read changes nothing where
// somebody else has changed the license since: ErrVersionMismatch.

// Versions are those of which a caller has read one, or nil for any.
type Versions []int

func (v Versions) admit(version int) bool { return v == nil || slices.Contains(v, version) }

// CheckVersion refuses a change of what has another version than the caller has read.
func CheckVersion(wanted Versions, version int) error {
	if wanted.admit(version) {
		return nil
	}
	return ErrVersionMismatch.WithMessagef("it has changed since it was read; read it again and repeat the change").
		With("version", version)
}

type expectedVersion struct{}

// Expecting returns a context in which a license is locked, to be changed or for what belongs to it, only while it has
// one of some versions.
func Expecting(ctx context.Context, wanted Versions) context.Context {
	return context.WithValue(ctx, expectedVersion{}, wanted)
}

// RequireExpected refuses a license, with VersionError, that has another version than Expecting was told.
func RequireExpected(ctx context.Context, l *License) error {
	wanted, _ := ctx.Value(expectedVersion{}).(Versions)
	if wanted.admit(l.Version) {
		return nil
	}
	return &VersionError{refusal{ErrVersionMismatch}, l.Version}
}
