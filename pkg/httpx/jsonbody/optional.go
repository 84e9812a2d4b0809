package jsonbody

// Optional is a member of a PATCH body, where absent, null and a value are three different things. Null is accepted
// only when the field carries the tag null:"ok".
type Optional[T any] struct {
	Present bool
	Null    bool
	Value   T
}

// Or is the value, or current when the member was absent. After null it is the zero value.
func (o Optional[T]) Or(current T) T {
	if !o.Present {
		return current
	}
	return o.Value
}

// Pointer is nil when the member was absent, and else points to the value.
func (o Optional[T]) Pointer() *T {
	if !o.Present {
		return nil
	}
	return &o.Value
}

// mark is how Decode reaches into an Optional of any type: it returns a pointer to the value to decode into.
func (o *Optional[T]) mark(null bool) any {
	*o = Optional[T]{Present: true, Null: null}
	return &o.Value
}

type optional interface{ mark(null bool) any }

// Object is a JSON object kept verbatim, nil when absent: metadata, for example. Its inside is checked like everything
// else.
type Object []byte

// MarshalJSON implements json.Marshaler; a nil Object is {}.
func (o Object) MarshalJSON() ([]byte, error) {
	if len(o) == 0 {
		return []byte("{}"), nil
	}
	return o, nil
}
