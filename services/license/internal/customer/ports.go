package customer

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/proto/erasure"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Store keeps customers. Every method that changes something locks what it changes, and writes the events of the change
// in the same transaction; when decide fails nothing is written.
type Store interface {
	// Customer reads a customer, also one that nothing but licenses knows yet; ErrNotFound.
	Customer(ctx context.Context, customerID string) (Customer, error)
	// Customers reads a part of the customers that match, newest first.
	Customers(ctx context.Context, f Filter, span licensing.Span) (licensing.Page[Customer], error)
	// CustomerLicenses counts the licenses of a customer by their status.
	CustomerLicenses(ctx context.Context, customerID string, now time.Time) (map[licensing.Status]int, error)
	// ChangeCustomer lets decide change a customer. One that nobody knows is passed to it with version 0, to be made,
	// where fresh is not nil; else it is ErrNotFound.
	ChangeCustomer(ctx context.Context, customerID string, fresh *Customer,
		decide func(*Customer) ([]proto.Message, error)) (Customer, error)
	// EraseCustomer lets decide change a customer that is to be forgotten, deletes what is known of the persons on its
	// licenses, and writes the events of the customer (by its ID) and of each license (by its id). ErrNotFound.
	EraseCustomer(ctx context.Context, customerID string, decide func(*Customer) (erasure.Rule, error),
		events func(*Customer, erasure.Rule, []Erased) map[string][]proto.Message) (Customer, error)
	// ScrubErased cleans the event log of the customers that were erased.
	ScrubErased(ctx context.Context) error
}

// Filter selects customers; empty members do not filter.
type Filter struct {
	CustomerID string
	// Email is the whole e-mail address, whatever its case.
	Email string
	// Search is how the customer_id, the e-mail address or the company begins; the latter two whatever their case.
	Search string
	// Products are codes of products, of one of which the customer has a license or a user.
	Products []string
}
