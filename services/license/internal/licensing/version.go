package licensing

import "context"

// The version of a license counts its changes. Who names in If-Match the one that was read changes nothing where
// somebody else has changed the license since: ErrVersionMismatch.

// CheckVersion refuses a change of what has another version than the caller has read; nil stands for any.
func CheckVersion(wanted *int, version int) error {
	if wanted == nil || *wanted == version {
		return nil
	}
	return ErrVersionMismatch.WithMessagef("it has changed since it was read; read it again and repeat the change").
		With("version", version)
}

type expectedVersion struct{}

// Expecting returns a context in which a license is locked, to be changed or for what belongs to it, only while it has
// a version. Nil stands for any.
func Expecting(ctx context.Context, version *int) context.Context {
	return context.WithValue(ctx, expectedVersion{}, version)
}

// RequireExpected refuses a license, with VersionError, that has another version than Expecting was told.
func RequireExpected(ctx context.Context, l *License) error {
	version, _ := ctx.Value(expectedVersion{}).(*int)
	if version == nil || *version == l.Version {
		return nil
	}
	return &VersionError{refusal{ErrVersionMismatch}, l.Version}
}
