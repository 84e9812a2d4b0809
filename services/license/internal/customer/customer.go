// Package customer is what administrators do with customers: those whom a vendor gave licenses, known by the vendor's
// own ids.
package customer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Bounds of what a vendor may write about a customer.
const (
	maxText          = 255
	maxMetadataBytes = 64 << 10
)

// Customers are the use cases of administrators for customers.
type Customers struct {
	Store Store
	Clock clock.Clock
}

// Customer is somebody whom the vendor gave licenses.
type Customer struct {
	// ID is a UUID, which stays the same when the customer is erased.
	ID string
	// CustomerID is the vendor's own id.
	CustomerID string
	Profile
	// Version grows with each change; it is 0 for a customer that is yet to be made.
	Version   int
	CreatedAt time.Time
	UpdatedAt time.Time
	// ErasedAt is zero unless the customer was erased.
	ErasedAt time.Time
}

// Profile is what the vendor says of a customer; empty members are not known.
type Profile struct {
	Name, Email, Company, Phone string
	Address                     Address
	// Metadata is a JSON object, byte for byte as the vendor sent it.
	Metadata json.RawMessage
}

// Address is a postal address. Country is a code of two letters (ISO 3166-1).
type Address struct {
	Line1      string `json:"line1,omitempty"`
	Line2      string `json:"line2,omitempty"`
	City       string `json:"city,omitempty"`
	State      string `json:"state,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	Country    string `json:"country,omitempty"`
}

// Change changes the members that are not nil.
type Change struct {
	Name, Email, Company, Phone *string
	Address                     *Address
	Metadata                    *json.RawMessage
}

// New is a customer of whom nothing but the id is known.
func New(customerID string, now time.Time) Customer {
	return Customer{
		ID: uuid.Must(uuid.NewV7()).String(), CustomerID: customerID, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
}

// Put makes a customer, or replaces all that is said of one that has the version, where that is not nil; made tells
// which. Errors: VALIDATION_ERROR, VERSION_MISMATCH.
func (s *Customers) Put(
	ctx context.Context, by *licensing.Actor, customerID string, version licensing.Versions, p Profile,
) (c Customer, made bool, err error) {
	problems := p.problems()
	if text := strings.TrimSpace(customerID); text == "" || utf8.RuneCountInString(text) > maxText {
		problems["customer_id"] = fmt.Sprintf("must have 1 to %d characters", maxText)
	}
	if len(problems) > 0 {
		return Customer{}, false, apierr.InvalidFields(problems)
	}
	now := s.Clock.Now()
	fresh := New(customerID, now)
	fresh.Version = 0
	c, err = s.Store.ChangeCustomer(ctx, customerID, &fresh, func(c *Customer) ([]proto.Message, error) {
		made = c.Version == 0
		return c.alter(by, version, func() { c.Profile = p }, now)
	})
	return c, made, err
}

// Update changes a customer that has the version, where that is not nil. A change that changes nothing is not noted.
// Errors: VALIDATION_ERROR, ErrNotFound, VERSION_MISMATCH.
func (s *Customers) Update(
	ctx context.Context, by *licensing.Actor, customerID string, version licensing.Versions, change Change,
) (Customer, error) {
	var tried Profile
	tried.apply(change)
	if problems := tried.problems(); len(problems) > 0 {
		return Customer{}, apierr.InvalidFields(problems)
	}
	return s.Store.ChangeCustomer(ctx, customerID, nil, func(c *Customer) ([]proto.Message, error) {
		return c.alter(by, version, func() { c.apply(change) }, s.Clock.Now())
	})
}

// Complete adds to a customer what is not known of it yet; what is known stays. changed tells that something was added.
// Errors: VALIDATION_ERROR, ErrNotFound.
func (s *Customers) Complete(
	ctx context.Context, by *licensing.Actor, customerID string, p Profile,
) (changed bool, err error) {
	if problems := p.problems(); len(problems) > 0 {
		return false, apierr.InvalidFields(problems)
	}
	_, err = s.Store.ChangeCustomer(ctx, customerID, nil, func(c *Customer) ([]proto.Message, error) {
		events, err := c.alter(by, nil, func() { c.complete(p) }, s.Clock.Now())
		changed = len(events) > 0
		return events, err
	})
	return changed, err
}

// alter makes a change with its audit entry, or nothing where nothing differs. The entry names the members and not what
// they were: what is known of a person is in one place, so that it can be erased.
func (c *Customer) alter(
	by *licensing.Actor, version licensing.Versions, make func(), now time.Time,
) ([]proto.Message, error) {
	if err := c.checkVersion(version); err != nil {
		return nil, err
	}
	before, action := c.Profile.view(), "customer.update"
	if make(); c.Version == 0 {
		action = "customer.create"
	}
	_, is := audit.Changes(before, c.Profile.view())
	if len(is) == 0 && c.Version > 0 {
		return nil, nil
	}
	c.Version++
	c.UpdatedAt = now
	changed := slices.AppendSeq([]string{}, maps.Keys(is))
	slices.Sort(changed)
	return []proto.Message{audit.Entry(by, action, nil, map[string]any{
		"customer_id": c.CustomerID, "changed": changed, "version": c.Version,
	})}, nil
}

// checkVersion refuses a change of a customer that has another version than the caller has read; nil stands for any.
func (c *Customer) checkVersion(wanted licensing.Versions) error {
	return licensing.CheckVersion(wanted, c.Version)
}

func (p *Profile) apply(c Change) {
	set(&p.Name, c.Name)
	set(&p.Email, c.Email)
	set(&p.Company, c.Company)
	set(&p.Phone, c.Phone)
	set(&p.Address, c.Address)
	set(&p.Metadata, c.Metadata)
}

// complete takes over the members of which nothing is known.
func (p *Profile) complete(from Profile) {
	p.Name, p.Email = cmp.Or(p.Name, from.Name), cmp.Or(p.Email, from.Email)
	p.Company, p.Phone = cmp.Or(p.Company, from.Company), cmp.Or(p.Phone, from.Phone)
	p.Address = cmp.Or(p.Address, from.Address)
}

func set[T any](member *T, value *T) {
	if value != nil {
		*member = *value
	}
}

// view is the profile by its public names, to be compared.
func (p *Profile) view() map[string]any {
	return map[string]any{
		"name": p.Name, "email": p.Email, "company": p.Company, "phone": p.Phone, "address": p.Address,
		"metadata": string(bytes.TrimSpace(p.object())),
	}
}

func (p *Profile) object() json.RawMessage {
	if len(p.Metadata) == 0 {
		return json.RawMessage("{}")
	}
	return p.Metadata
}

var country = regexp.MustCompile(`^[A-Z]{2}$`)

// problems tells what is wrong with a profile, by its public names.
func (p *Profile) problems() map[string]string {
	problems := map[string]string{}
	a := &p.Address
	for name, text := range map[string]string{
		"name": p.Name, "email": p.Email, "company": p.Company, "phone": p.Phone, "address.line1": a.Line1,
		"address.line2": a.Line2,
		"address.city":  a.City, "address.state": a.State, "address.postal_code": a.PostalCode,
	} {
		if utf8.RuneCountInString(text) > maxText {
			problems[name] = fmt.Sprintf("must have at most %d characters", maxText)
		}
	}
	if parsed, err := mail.ParseAddress(p.Email); p.Email != "" && (err != nil || parsed.Address != p.Email) {
		problems["email"] = "must be an e-mail address, as name@example.com"
	}
	if a.Country != "" && !country.MatchString(a.Country) {
		problems["address.country"] = "must be a code of two capital letters (ISO 3166-1), as US"
	}
	if len(p.Metadata) > maxMetadataBytes {
		problems["metadata"] = "must be at most 64 KiB of JSON"
	}
	return problems
}
