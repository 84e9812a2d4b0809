package jsonbody

import "github.com/latchkey-dev/latchkey/pkg/apierr"

// Row is an entry of a list whose entries stand alone: what is wrong in one, in its types, its text or its nesting, is
// kept beside its value and refuses neither the body nor the others. Paths begin at the entry; the entry itself is
// "body". Text that cannot be read on, because its JSON is broken, refuses the body all the same.
type Row[T any] struct {
	Value    T
	problems apierr.Fields
}

// Err is a VALIDATION_ERROR with everything that is wrong with the entry in details.fields, nil when nothing is.
func (r *Row[T]) Err() error {
	if len(r.problems) == 0 {
		return nil
	}
	return apierr.InvalidFields(r.problems)
}

// parts is how Decode reaches into a Row of any type.
func (r *Row[T]) parts() (value any, problems *apierr.Fields) { return &r.Value, &r.problems }

type row interface {
	parts() (value any, problems *apierr.Fields)
}
