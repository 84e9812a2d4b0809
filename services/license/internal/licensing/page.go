package licensing

import "time"

// MaxTotal is up to how many items of a list are counted.
const MaxTotal = 10_000

// Span says which part of a list is asked for: a page, counted from 1, or what follows a position.
type Span struct {
	Page, PerPage int
	// After takes the place of Page where it is not nil.
	After *Position
}

// Position is where an item is in a list: its time and id in a list by time, its code in a list by code.
type Position struct {
	At  time.Time
	Key string
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	// Total is how many items there are in all, MaxTotal + 1 where there are more than MaxTotal.
	Total int
	// Next is the position of the last item, nil where no other follows it.
	Next *Position
}
