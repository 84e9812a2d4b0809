package appliance

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// View is what is shown of the license of an installation. Members that are not known are empty.
type View struct {
	Status    Status
	MachineID string
	// Product is the code of the product, LicenseType that of the license.
	Product, LicenseType string
	LicenseID, Customer  string
	// LicenseVersion is that of the license when its file was made.
	LicenseVersion       int
	CreatedAt, ExpiresAt time.Time
}

// View shows an installation at a time.
func (i *Installation) View(now time.Time) View {
	v := View{Status: i.Status(now), MachineID: i.MachineID}
	switch {
	case i.Cloud != nil:
		said := &i.Cloud.Answer
		v.Product, v.LicenseType, v.LicenseID = said.Product, said.LicenseType, said.LicenseID
		v.CreatedAt, v.ExpiresAt = i.Cloud.ConnectedAt, said.ExpiresAt
	case i.File != nil:
		v.file(i.File, i.MachineID, clock.Later(now, i.SeenAt))
	}
	return v
}

func (v *View) file(f *File, machineID string, now time.Time) {
	said, _ := f.Read(machineID, now) // its status tells what is wrong with it
	if said == nil {
		return
	}
	v.Product, v.LicenseID, v.Customer = said.License.Product, said.License.LicenseID, said.License.CustomerID
	v.LicenseType, _ = said.License.Terms["license_type"].(string)
	v.LicenseVersion = said.License.Version
	v.CreatedAt, v.ExpiresAt = said.IssuedAt, said.ExpiresAt
}
