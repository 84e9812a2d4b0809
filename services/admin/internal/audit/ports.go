package audit

import "context"

// Log keeps the entries.
type Log interface {
	// Append adds the entries that are not there yet.
	Append(ctx context.Context, entries []Entry) error
	// Erase cleans the entries of an erased customer, those of later too.
	Erase(ctx context.Context, x Erasure) error
	// Search finds one page, newest first.
	Search(ctx context.Context, f Filter) (Found, error)
}
