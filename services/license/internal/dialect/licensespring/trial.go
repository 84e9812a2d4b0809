package licensespring

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/trial"
)

// person is what a client says of who wants a trial.
type person struct {
	Email         string `json:"email" text:"identifier"`
	LicensePolicy string `json:"license_policy" text:"identifier"`
	FirstName     string `json:"first_name" text:"identifier"`
	LastName      string `json:"last_name" text:"identifier"`
	Phone         string `json:"phone" text:"identifier"`
	Address       string `json:"address" text:"identifier"`
	Postcode      string `json:"postcode" text:"identifier"`
	State         string `json:"state" text:"identifier"`
	Country       string `json:"country" text:"identifier"`
	City          string `json:"city" text:"identifier"`
	Reference     string `json:"reference" text:"identifier"`
	CompanyName   string `json:"company_name" text:"identifier"`
}

// texts are the members by their names.
func (p *person) texts() map[string]string {
	return map[string]string{
		"email": p.Email, "license_policy": p.LicensePolicy, "first_name": p.FirstName, "last_name": p.LastName,
		"phone": p.Phone, "address": p.Address, "postcode": p.Postcode, "state": p.State, "country": p.Country,
		"city": p.City, "reference": p.Reference, "company_name": p.CompanyName,
	}
}

var countryCode = regexp.MustCompile(`^[A-Za-z]{2}$`)

// profile is that of the customer. The vendor's reference is no id that a stranger may choose, and a country may be any
// text: both are kept beside it.
func (p *person) profile() (customer.Profile, error) {
	profile := customer.Profile{
		Name:    strings.TrimSpace(p.FirstName + " " + p.LastName),
		Email:   p.Email,
		Company: p.CompanyName,
		Phone:   p.Phone,
		Address: customer.Address{Line1: p.Address, City: p.City, State: p.State, PostalCode: p.Postcode},
	}
	more := map[string]string{}
	if p.Reference != "" {
		more["reference"] = p.Reference
	}
	if countryCode.MatchString(p.Country) {
		profile.Address.Country = strings.ToUpper(p.Country)
	} else if p.Country != "" {
		more["country"] = p.Country
	}
	var err error
	profile.Metadata, err = json.Marshal(more)
	return profile, err
}

// trialBody is a trial that was there.
type trialBody struct {
	LicenseType string `json:"license_type"`
	IsTrial     bool   `json:"is_trial"`
	License     string `json:"license,omitzero"`
	LicenseUser string `json:"license_user,omitzero"`
}

// newTrialBody is a trial that has just been made, as clients know an order with one license. Times are in
// milliseconds.
type newTrialBody struct {
	ID                        int64   `json:"id"`
	OrderID                   int64   `json:"order_id"`
	ProductID                 int64   `json:"product_id"`
	CreatedAt                 int64   `json:"created_at"`
	UpdatedAt                 int64   `json:"updated_at"`
	TimesActivated            int     `json:"times_activated"`
	Active                    bool    `json:"active"`
	Enabled                   bool    `json:"enabled"`
	MaxActivations            int     `json:"max_activations"`
	AllowUnlimitedActivations bool    `json:"allow_unlimited_activations"`
	TrialDays                 int     `json:"trial_days"`
	ValidityPeriod            *string `json:"validity_period"`
	PreventVM                 bool    `json:"prevent_vm"`
	IsFloatingCloud           bool    `json:"is_floating_cloud"`
	Company                   company `json:"company"`
	trialBody                 `json:",inline"`
	LicenseKey                string `json:"license_key,omitzero"`
	LicenseUserID             int64  `json:"license_user_id,omitzero"`
	InitialPassword           string `json:"initial_password,omitzero"`
	MaxLicenseUsers           int    `json:"max_license_users"`
}

// trialKey is the trial of an e-mail address, which is made unless there is one.
func (d *Dialect) trialKey(c *gin.Context) error {
	r, err := query(c)
	if err != nil {
		return err
	}
	ctx, signer := c.Request.Context(), signerOf(c)
	product, err := d.product(ctx, signer, r.Product)
	switch {
	case err != nil:
		return err
	case r.Email == "":
		return missing("email")
	}
	profile, err := r.profile()
	if err != nil {
		return err
	}
	t, err := d.Trials.Get(ctx, actor(signer), trial.Wanted{
		Product: product, Policy: r.LicensePolicy, Profile: profile, Network: httpx.ClientNetwork(c),
	})
	if err != nil {
		return err
	}
	old := trialBody{LicenseType: t.License.LicenseType(), IsTrial: true, License: t.Key}
	if t.User != nil {
		old.LicenseUser = t.User.Email
	}
	if !t.Made {
		return d.answer(c, old)
	}
	return d.answerNewTrial(c, &t, product, old)
}

func (d *Dialect) answerNewTrial(c *gin.Context, t *trial.Trial, p catalog.Product, told trialBody) error {
	l := &t.License
	q := integration.NumberQuery{License: l.ID, Product: p.Code}
	if t.User != nil {
		q.User = t.User.ID
	}
	n, err := d.Numbers.Numbers(c.Request.Context(), q)
	if err != nil {
		return err
	}
	shown := newLicense(l, "", facts{product: p}, d.Clock.Now())
	return d.answer(c, newTrialBody{
		ID:                        n.License,
		OrderID:                   n.License,
		ProductID:                 n.Product,
		CreatedAt:                 l.CreatedAt.UnixMilli(),
		UpdatedAt:                 l.UpdatedAt.UnixMilli(),
		Enabled:                   true,
		MaxActivations:            shown.MaxActivations,
		AllowUnlimitedActivations: shown.AllowUnlimitedActivations,
		TrialDays:                 shown.TrialDays,
		ValidityPeriod:            shown.ValidityPeriod,
		PreventVM:                 shown.PreventVM,
		IsFloatingCloud:           shown.IsFloatingCloud,
		Company:                   company{companyID},
		trialBody:                 told,
		LicenseKey:                t.Key,
		LicenseUserID:             n.User,
		InitialPassword:           t.Password,
		MaxLicenseUsers:           1,
	})
}

// actor is how the audit log names who asked for a trial.
func actor(s *integration.Signer) *licensing.Actor {
	return &licensing.Actor{Id: s.Integration.ID, Name: s.Integration.Name, Role: "integration"}
}

// daysOfMonth is what clients, who know days alone, are told about a month.
const daysOfMonth = 30

// trialDays is how long a trial runs.
func trialDays(t *licensing.Terms) int { return t.DurationDays + t.DurationMonths*daysOfMonth }
