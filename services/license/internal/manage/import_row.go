package manage

import (
	"encoding/json"
	"fmt"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/licenseimport"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// importedLicense is a license as another system kept it.
type importedLicense struct {
	LicenseKey string `json:"license_key" text:"key"`
	CustomerID string `json:"customer_id" text:"identifier"`
	Product    string `json:"product" text:"identifier" empty:"no"`
	Policy     string `json:"policy" text:"identifier" empty:"no"`
	GroupID    string `json:"group_id" text:"identifier" empty:"no"`
	newTerms
	IsTest             *bool            `json:"is_test"`
	IsActive           *bool            `json:"is_active"`
	DeactivationReason *string          `json:"deactivation_reason"`
	TransfersUsed      *int             `json:"transfers_used"`
	Metadata           *jsonbody.Object `json:"metadata"`
	Customer           importedCustomer `json:"customer"`
	Users              []importedUser   `json:"users" max:"100"`
	Devices            []importedDevice `json:"devices" max:"1000"`
	Used               map[string]int64 `json:"used"`
}

// importedCustomer is what is known of the customer.
type importedCustomer struct {
	Name    string      `json:"name" text:"identifier"`
	Email   string      `json:"email" text:"identifier"`
	Company string      `json:"company" text:"identifier"`
	Phone   string      `json:"phone" text:"identifier"`
	Address addressBody `json:"address"`
}

type importedUser struct {
	Email      string                 `json:"email" text:"identifier"`
	Name       string                 `json:"name" text:"identifier"`
	MaxDevices jsonbody.Optional[int] `json:"max_devices" null:"ok"`
}

type importedDevice struct {
	HardwareID string `json:"hardware_id" text:"identifier"`
	DeviceName string `json:"device_name" text:"identifier"`
	// IsActive is true where it is left out.
	IsActive *bool  `json:"is_active"`
	User     string `json:"user" text:"identifier"`
}

// check finds what a repeated import could not take back to the same.
func (l *importedLicense) check() error {
	bad := apierr.Fields{}
	bad.Require("license_key", l.LicenseKey)
	if l.ExpiresInDays != nil {
		bad.Add("expires_in_days", "would be another end with each import; send expires_at")
	}
	if len(l.Used) > maxUsed {
		bad.Add("used", fmt.Sprintf("must have at most %d entries", maxUsed))
	}
	return bad.Err()
}

// maxUsed is as many counters as a license may have.
const maxUsed = 32

func (l *importedLicense) row() licenseimport.Row {
	n := newLicense{
		CustomerID: l.CustomerID, Product: l.Product, Policy: l.Policy, GroupID: canonicalID(l.GroupID),
		LicenseKey: &l.LicenseKey, newTerms: l.newTerms, IsTest: l.IsTest != nil && *l.IsTest,
	}
	change := licensing.Patch{
		TermsChange: l.newTerms.change(), IsActive: l.IsActive, IsTest: l.IsTest,
		DeactivationReason: l.DeactivationReason,
	}
	if l.CustomerID != "" {
		change.CustomerID = &l.CustomerID
	}
	if l.Metadata != nil {
		n.Metadata, change.Metadata = *l.Metadata, new(json.RawMessage(*l.Metadata))
	}
	row := licenseimport.Row{
		Import:   licensing.Import{New: n.wanted(), Change: change, TransfersUsed: l.TransfersUsed},
		Customer: l.Customer.profile(),
		Used:     l.Used,
	}
	for _, u := range l.Users {
		row.Users = append(row.Users, licenseimport.User{
			Email: u.Email, Name: u.Name, MaxDevices: licensing.Optional[int](u.MaxDevices),
		})
	}
	for _, d := range l.Devices {
		row.Devices = append(row.Devices, licenseimport.Device{
			ImportedDevice: licensing.ImportedDevice{
				HardwareID: d.HardwareID, Name: d.DeviceName, IsActive: d.IsActive == nil || *d.IsActive,
			},
			User: d.User,
		})
	}
	return row
}

func (c *importedCustomer) profile() customer.Profile {
	return customer.Profile{
		Name: c.Name, Email: c.Email, Company: c.Company, Phone: c.Phone, Address: c.Address.address(),
	}
}
