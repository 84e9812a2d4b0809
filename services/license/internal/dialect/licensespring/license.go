package licensespring

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// companyID is the number of the vendor, of whom an installation serves one.
const companyID = 1

// defaultFloatingTimeout is in minutes, as clients expect it of licenses without floating terms.
const defaultFloatingTimeout = 120

type company struct {
	ID int64 `json:"id"`
}

// licenseBody is a license as clients know it. The order of the members is part of what is signed.
type licenseBody struct {
	ID                        int64     `json:"id"`
	LicenseType               string    `json:"license_type"`
	LicenseKey                string    `json:"license_key,omitzero"`
	User                      *userBody `json:"user,omitzero"`
	ValidityPeriod            *string   `json:"validity_period"`
	StartDate                 *string   `json:"start_date"`
	MaintenancePeriod         *string   `json:"maintenance_period"`
	EnableMaintenancePeriod   bool      `json:"enable_maintenance_period"`
	MaxActivations            int       `json:"max_activations"`
	TimesActivated            int       `json:"times_activated"`
	AllowUnlimitedActivations bool      `json:"allow_unlimited_activations"`
	MaxTransfers              int       `json:"max_transfers"`
	TransferCount             int       `json:"transfer_count"`
	PreventVM                 bool      `json:"prevent_vm"`
	IsTrial                   bool      `json:"is_trial"`
	IsFloating                bool      `json:"is_floating"`
	IsFloatingCloud           bool      `json:"is_floating_cloud"`
	IsAirGapped               bool      `json:"is_air_gapped"`
	IsHardwareKeyAuth         bool      `json:"is_hardware_key_auth"`
	CanBorrow                 bool      `json:"can_borrow"`
	AllowGracePeriod          bool      `json:"allow_grace_period"`
	AllowOfflineActivation    bool      `json:"allow_offline_activation"`
	TrialDays                 int       `json:"trial_days"`
	GracePeriod               int       `json:"grace_period"`
	MaxBorrowTime             int       `json:"max_borrow_time"`
	FloatingTimeout           int       `json:"floating_timeout"`
	FloatingUsers             int       `json:"floating_users"`
	consumption               `json:",inline"`
	LicenseTemplateID         *int64         `json:"license_template_id"`
	OrderStoreID              *string        `json:"order_store_id"`
	Metadata                  jsontext.Value `json:"metadata"`
	Company                   company        `json:"company"`
	CustomFields              []struct{}     `json:"custom_fields"`
	ProductFeatures           []featureBody  `json:"product_features"`
	ProductDetails            productBody    `json:"product_details"`
	Customer                  customerBody   `json:"customer"`
}

// userBody is the user of a license.
type userBody struct {
	ID                int64  `json:"id"`
	Email             string `json:"email"`
	FirstName         string `json:"first_name"`
	LastName          string `json:"last_name"`
	PhoneNumber       string `json:"phone_number"`
	IsInitialPassword bool   `json:"is_initial_password"`
}

// consumption is a counter as clients know it.
type consumption struct {
	MaxConsumptions            int64   `json:"max_consumptions"`
	TotalConsumptions          int64   `json:"total_consumptions"`
	AllowUnlimitedConsumptions bool    `json:"allow_unlimited_consumptions"`
	AllowNegativeConsumptions  bool    `json:"allow_negative_consumptions"`
	AllowOverages              bool    `json:"allow_overages"`
	MaxOverages                int64   `json:"max_overages"`
	ResetConsumption           bool    `json:"reset_consumption"`
	ConsumptionPeriod          *string `json:"consumption_period"`
}

func newConsumption(t *licensing.CounterTerms, used int64) consumption {
	c := consumption{
		TotalConsumptions:          used,
		AllowUnlimitedConsumptions: t.Limit == nil,
		AllowNegativeConsumptions:  t.AllowNegative,
		AllowOverages:              t.Overage == nil || *t.Overage > 0,
		ResetConsumption:           t.Reset != licensing.ResetNever,
	}
	if t.Limit != nil {
		c.MaxConsumptions = *t.Limit
	}
	if t.Overage != nil {
		c.MaxOverages = *t.Overage
	}
	if c.ResetConsumption {
		c.ConsumptionPeriod = &t.Reset
	}
	return c
}

// featureConsumption is a counter as clients know it of a product feature, where one member is called otherwise.
type featureConsumption struct {
	MaxConsumptions            int64   `json:"max_consumption"`
	TotalConsumptions          int64   `json:"total_consumptions"`
	AllowUnlimitedConsumptions bool    `json:"allow_unlimited_consumptions"`
	AllowNegativeConsumptions  bool    `json:"allow_negative_consumptions"`
	AllowOverages              bool    `json:"allow_overages"`
	MaxOverages                int64   `json:"max_overages"`
	ResetConsumption           bool    `json:"reset_consumption"`
	ConsumptionPeriod          *string `json:"consumption_period"`
}

// The types of product features.
const (
	typeActivation  = "activation"
	typeConsumption = "consumption"
)

// featureBody is an entitlement as clients know it.
type featureBody struct {
	ID                  int64          `json:"id"`
	Code                string         `json:"code"`
	Name                string         `json:"name"`
	FeatureType         string         `json:"feature_type"`
	ExpiryDate          *string        `json:"expiry_date"`
	IsFloating          bool           `json:"is_floating"`
	IsFloatingCloud     bool           `json:"is_floating_cloud"`
	FloatingUsers       int            `json:"floating_users"`
	Metadata            jsontext.Value `json:"metadata"`
	*featureConsumption `json:",inline"`
}

func newFeature(e *licensing.Entitlement, t *licensing.Terms, id int64, counters map[string]int64) featureBody {
	f := featureBody{
		ID:          id,
		Code:        e.Code,
		Name:        e.Name,
		FeatureType: typeActivation,
		ExpiryDate:  stamp(e.ExpiresAt),
		Metadata:    likeJavaScript(e.Metadata),
	}
	if f.Name == "" {
		f.Name = e.Code
	}
	if t.Floating != nil {
		f.IsFloatingCloud, f.FloatingUsers = true, e.Slots
		if e.Slots == 0 {
			f.FloatingUsers = t.Floating.Slots
		}
	}
	if terms := t.Counter(e.Counter); terms != nil {
		counted := featureConsumption(newConsumption(terms, counters[terms.Name]))
		f.FeatureType, f.featureConsumption = typeConsumption, &counted
	}
	return f
}

type customerBody struct {
	Email           string         `json:"email"`
	CompanyName     string         `json:"company_name"`
	Reference       string         `json:"reference"`
	Phone           string         `json:"phone"`
	FirstName       string         `json:"first_name"`
	LastName        string         `json:"last_name"`
	City            string         `json:"city"`
	Postcode        string         `json:"postcode"`
	State           string         `json:"state"`
	Country         string         `json:"country"`
	Address         string         `json:"address"`
	CustomerAccount *struct{}      `json:"customer_account"`
	Metadata        jsontext.Value `json:"metadata"`
}

func newCustomer(c customer.Customer) customerBody {
	first, last := nameParts(c.Name)
	address := c.Address.Line1
	if c.Address.Line2 != "" {
		address += ", " + c.Address.Line2
	}
	return customerBody{
		Email:       c.Email,
		CompanyName: c.Company,
		Reference:   c.CustomerID,
		Phone:       c.Phone,
		FirstName:   first,
		LastName:    last,
		City:        c.Address.City,
		Postcode:    c.Address.PostalCode,
		State:       c.Address.State,
		Country:     c.Address.Country,
		Address:     address,
		Metadata:    likeJavaScript(c.Metadata),
	}
}

// facts are what an answer shows of a license beside its terms.
type facts struct {
	numbers  integration.Numbers
	used     map[string]int64
	product  catalog.Product
	customer customer.Customer
	// expired has product features shown that have ended.
	expired bool
}

// reader is who gets an answer about a license.
type reader struct {
	serverSide bool
	// byDevice says that the call has named no more of the license than the hardware id of a device.
	byDevice bool
}

// readerOf is who gets the answer to a call that proves whose license it is about.
func readerOf(c *gin.Context) reader { return reader{serverSide: signerOf(c).Integration.ServerSide} }

// seesCustomer reports whether a reader is told who the customer of a license is. Anybody gets the key of a trial for
// an e-mail address, and hardware ids are no secrets: behind these, only servers of the vendor see a person.
func (r reader) seesCustomer(l *licensing.License) bool {
	return r.serverSide || !r.byDevice && !ofTrial(l.CustomerID)
}

// facts reads what an answer about l shows; deviceID is empty for none.
func (d *Dialect) facts(
	ctx context.Context, r reader, l *licensing.License, p catalog.Product, deviceID string,
) (facts, error) {
	f := facts{product: p}
	q := integration.NumberQuery{License: l.ID, Device: deviceID, Product: p.Code, Policy: l.Policy}
	for _, e := range l.AllEntitlements() {
		q.Features = append(q.Features, e.Code)
	}
	var err error
	if f.numbers, err = d.Numbers.Numbers(ctx, q); err != nil {
		return f, err
	}
	if r.seesCustomer(l) {
		if f.customer, err = d.Customers.Customer(ctx, l.CustomerID); err != nil {
			return f, err
		}
	}
	f.used, err = d.used(ctx, l)
	return f, err
}

// used is what the counters of a license show, by their names.
func (d *Dialect) used(ctx context.Context, l *licensing.License) (map[string]int64, error) {
	used := map[string]int64{}
	if len(l.Counters) == 0 {
		return used, nil
	}
	_, readings, err := d.Counters.List(ctx, l.ID)
	for _, r := range readings {
		used[r.Terms.Name] = r.State.Used
	}
	return used, err
}

// newLicense shows a license; key is how the client calls it, empty for a license of users.
func newLicense(l *licensing.License, key string, f facts, now time.Time) licenseBody {
	b := licenseBody{
		ID:                        f.numbers.License,
		LicenseType:               l.LicenseType(),
		LicenseKey:                key,
		ValidityPeriod:            stamp(l.ExpiresAt),
		StartDate:                 stamp(l.StartsAt),
		MaintenancePeriod:         stamp(l.MaintenanceUntil),
		EnableMaintenancePeriod:   !l.MaintenanceUntil.IsZero(),
		TimesActivated:            l.CurrentDevices,
		AllowUnlimitedActivations: l.MaxDevices == licensing.Unlimited,
		TransferCount:             l.TransfersUsed,
		IsTrial:                   l.IsTrial,
		AllowGracePeriod:          l.GraceHours > 0,
		AllowOfflineActivation:    l.OfflineActivation,
		GracePeriod:               l.GraceHours,
		FloatingTimeout:           defaultFloatingTimeout,
		Metadata:                  likeJavaScript(l.Metadata),
		Company:                   company{companyID},
		CustomFields:              []struct{}{},
		ProductFeatures:           newFeatures(l, f, now),
		ProductDetails:            newProduct(f.product, f.numbers.Product),
		Customer:                  newCustomer(f.customer),
	}
	if !b.AllowUnlimitedActivations {
		b.MaxActivations = l.MaxDevices
	}
	if l.IsTrial {
		b.TrialDays = trialDays(&l.Terms)
	}
	if f.numbers.Policy != 0 {
		b.LicenseTemplateID = &f.numbers.Policy
	}
	if t := mainCounter(l); t != nil {
		b.consumption = newConsumption(t, f.used[t.Name])
	}
	b.setDeviceRules(l)
	return b
}

func (b *licenseBody) setDeviceRules(l *licensing.License) {
	if rules := l.Devices; rules != nil {
		b.PreventVM = rules.PreventVM
		if rules.TransferLimit != nil {
			b.MaxTransfers = *rules.TransferLimit
		}
	}
	if t := l.Floating; t != nil {
		b.IsFloatingCloud, b.FloatingUsers = true, t.Slots
		b.CanBorrow, b.MaxBorrowTime = t.BorrowMaxHours > 0, t.BorrowMaxHours
		b.FloatingTimeout = (t.LeaseSeconds + 59) / 60
	}
}

// newFeatures shows the entitlements that are usable now, or all.
func newFeatures(l *licensing.License, f facts, now time.Time) []featureBody {
	features := []featureBody{} // never null
	for _, e := range l.AllEntitlements() {
		if f.expired || l.Grants(e.Code, now) == nil {
			features = append(features, newFeature(&e, &l.Terms, f.numbers.Features[e.Code], f.used))
		}
	}
	return features
}

// mainCounterName is the counter that add_consumption counts on.
const mainCounterName = "consumptions"

// mainCounter is the counter of the license itself: the one called consumptions, else the first that belongs to no
// entitlement; nil for none.
func mainCounter(l *licensing.License) *licensing.CounterTerms {
	if t := l.Counter(mainCounterName); t != nil {
		return t
	}
	ofEntitlements := map[string]bool{}
	for _, e := range l.Entitlements {
		ofEntitlements[e.Counter] = true
	}
	for i := range l.Counters {
		if t := &l.Counters[i]; !ofEntitlements[t.Name] {
			return t
		}
	}
	return nil
}
