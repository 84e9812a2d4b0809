package manage

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// customerBody is a customer as the public API shows it.
type customerBody struct {
	CustomerID string          `json:"customer_id"`
	Name       *string         `json:"name"`
	Email      *string         `json:"email"`
	Company    *string         `json:"company"`
	Phone      *string         `json:"phone"`
	Address    addressBody     `json:"address"`
	Metadata   json.RawMessage `json:"metadata"`
	Version    int             `json:"version"`
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`
	ErasedAt   *time.Time      `json:"erased_at"`
}

type addressBody struct {
	Line1      *string `json:"line1" text:"identifier"`
	Line2      *string `json:"line2" text:"identifier"`
	City       *string `json:"city" text:"identifier"`
	State      *string `json:"state" text:"identifier"`
	PostalCode *string `json:"postal_code" text:"identifier"`
	Country    *string `json:"country" text:"identifier"`
}

// customerWithLicenses is a customer with the number of its licenses, in all and by their status.
type customerWithLicenses struct {
	customerBody
	Licenses licenseCounts `json:"licenses"`
}

type licenseCounts struct {
	Total      int `json:"total"`
	Active     int `json:"active"`
	InGrace    int `json:"in_grace"`
	NotStarted int `json:"not_started"`
	Expired    int `json:"expired"`
	Suspended  int `json:"suspended"`
	Inactive   int `json:"inactive"`
}

func newCustomerBody(c customer.Customer) customerBody {
	a := c.Address
	return customerBody{
		CustomerID: c.CustomerID,
		Name:       httpx.TextOrNull(c.Name),
		Email:      httpx.TextOrNull(c.Email),
		Company:    httpx.TextOrNull(c.Company),
		Phone:      httpx.TextOrNull(c.Phone),
		Address: addressBody{
			Line1:      httpx.TextOrNull(a.Line1),
			Line2:      httpx.TextOrNull(a.Line2),
			City:       httpx.TextOrNull(a.City),
			State:      httpx.TextOrNull(a.State),
			PostalCode: httpx.TextOrNull(a.PostalCode),
			Country:    httpx.TextOrNull(a.Country),
		},
		Metadata:  object(c.Metadata),
		Version:   c.Version,
		CreatedAt: c.CreatedAt,
		UpdatedAt: c.UpdatedAt,
		ErasedAt:  httpx.TimeOrNull(c.ErasedAt),
	}
}

// newLicenseCounts counts each license once: active are those of the status of that name.
func newLicenseCounts(by map[licensing.Status]int) licenseCounts {
	counts := licenseCounts{
		Active:     by[licensing.StatusActive],
		InGrace:    by[licensing.StatusInGrace],
		NotStarted: by[licensing.StatusNotStarted],
		Expired:    by[licensing.StatusExpired],
		Suspended:  by[licensing.StatusSuspended],
		Inactive:   by[licensing.StatusInactive],
	}
	for _, n := range by {
		counts.Total += n
	}
	return counts
}

// customerMembers are what PUT takes of a customer; what is absent or null is not known.
type customerMembers struct {
	Name     string          `json:"name" text:"identifier"`
	Email    string          `json:"email" text:"identifier"`
	Company  string          `json:"company" text:"identifier"`
	Phone    string          `json:"phone" text:"identifier"`
	Address  addressBody     `json:"address"`
	Metadata jsonbody.Object `json:"metadata"`
}

// Unsettable implements jsonbody.Unsettable.
func (customerMembers) Unsettable() map[string]string { return fixedCustomerMembers() }

// customerChange is what PATCH takes: only the members that are present change, and address as a whole.
type customerChange struct {
	Name     jsonbody.Optional[string]          `json:"name" null:"ok" text:"identifier"`
	Email    jsonbody.Optional[string]          `json:"email" null:"ok" text:"identifier"`
	Company  jsonbody.Optional[string]          `json:"company" null:"ok" text:"identifier"`
	Phone    jsonbody.Optional[string]          `json:"phone" null:"ok" text:"identifier"`
	Address  jsonbody.Optional[addressBody]     `json:"address" null:"ok"`
	Metadata jsonbody.Optional[jsonbody.Object] `json:"metadata" null:"ok"`
}

// Unsettable implements jsonbody.Unsettable.
func (customerChange) Unsettable() map[string]string { return fixedCustomerMembers() }

func fixedCustomerMembers() map[string]string {
	return map[string]string{
		"customer_id": "it is that of the path and cannot change",
		"licenses":    "",
		"version":     "send the ETag in If-Match",
		"created_at":  "",
		"updated_at":  "",
		"erased_at":   "use /erase",
	}
}

func (a addressBody) address() customer.Address {
	return customer.Address{
		Line1:      orEmpty(a.Line1),
		Line2:      orEmpty(a.Line2),
		City:       orEmpty(a.City),
		State:      orEmpty(a.State),
		PostalCode: orEmpty(a.PostalCode),
		Country:    orEmpty(a.Country),
	}
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func (m customerMembers) profile() customer.Profile {
	return customer.Profile{
		Name:     m.Name,
		Email:    m.Email,
		Company:  m.Company,
		Phone:    m.Phone,
		Address:  m.Address.address(),
		Metadata: json.RawMessage(m.Metadata),
	}
}

func (m customerChange) change() customer.Change {
	change := customer.Change{
		Name:     m.Name.Pointer(),
		Email:    m.Email.Pointer(),
		Company:  m.Company.Pointer(),
		Phone:    m.Phone.Pointer(),
		Metadata: (*json.RawMessage)(m.Metadata.Pointer()),
	}
	if m.Address.Present {
		change.Address = new(m.Address.Value.address())
	}
	return change
}

// customerID reads the id of the path.
func customerID(c *gin.Context) string { return jsonbody.Identifier(c.Param("customer_id")) }

func (m *Manage) listCustomers(c *gin.Context) error {
	span, err := querySpan(c, inTime)
	if err != nil {
		return err
	}
	q := query{c: c}
	f := customer.Filter{CustomerID: orEmpty(q.identifier("customer_id")), Search: orEmpty(q.identifier("search"))}
	if q.err != nil {
		return q.err
	}
	page, err := m.Customers.Store.Customers(c.Request.Context(), f, span)
	if err != nil {
		return err
	}
	body := struct {
		Customers []customerBody `json:"customers"`
		pageBody
	}{bodies(page.Items, newCustomerBody), newPageBody(span, page)}
	c.PureJSON(http.StatusOK, body)
	return nil
}

func (m *Manage) getCustomer(c *gin.Context) error {
	found, err := m.Customers.Store.Customer(c.Request.Context(), customerID(c))
	if err != nil {
		return err
	}
	counts, err := m.Customers.Store.CustomerLicenses(c.Request.Context(), found.CustomerID, m.Clock.Now())
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, found.Version, customerWithLicenses{newCustomerBody(found), newLicenseCounts(counts)})
}

func (m *Manage) putCustomer(c *gin.Context) error {
	var in customerMembers
	version, err := bindChange(c, &in)
	if err != nil {
		return err
	}
	put, made, err := m.Customers.Put(c.Request.Context(), rpc.ActorOf(c), customerID(c), version, in.profile())
	if err != nil {
		return err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	return show(c, status, put.Version, newCustomerBody(put))
}

func (m *Manage) updateCustomer(c *gin.Context) error {
	var in customerChange
	version, err := bindChange(c, &in)
	if err != nil {
		return err
	}
	changed, err := m.Customers.Update(c.Request.Context(), rpc.ActorOf(c), customerID(c), version, in.change())
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, changed.Version, newCustomerBody(changed))
}

// eraseCustomer cannot be undone. The answer shows the id that the customer has from now on.
func (m *Manage) eraseCustomer(c *gin.Context) error {
	version, err := ifVersion(c)
	if err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (customerBody, error) {
		erased, err := m.Customers.Erase(ctx, by, customerID(c), version)
		return newCustomerBody(erased), err
	})
	if err != nil {
		return err
	}
	// What this leaves, because it fails or takes longer than a call may, a job of the service cleans within a minute.
	_ = m.Customers.Store.ScrubErased(c.Request.Context())
	return show(c, http.StatusOK, body.Version, body)
}
