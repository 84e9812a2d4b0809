package manage

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
)

// applianceFile asks for the license file of appliances that speak the Spectra Analyze API.
type applianceFile struct {
	LicenseID  string   `json:"license_id" text:"identifier"`
	MachineIDs []string `json:"machine_ids" text:"identifier"`
	ValidHours *int     `json:"valid_hours"`
}

func (in *applianceFile) check() error {
	bad := apierr.Fields{}
	bad.Require("license_id", in.LicenseID)
	bad.MaxLen("license_id", in.LicenseID, maxText)
	if n := len(in.MachineIDs); n == 0 || n > licensefile.MaxMachines {
		bad.Add("machine_ids", fmt.Sprintf("must have 1 to %d entries", licensefile.MaxMachines))
	}
	for _, id := range in.MachineIDs {
		checkHardwareID(bad, "machine_ids", id)
	}
	return bad.Err()
}

// issueApplianceFile answers the file as it is uploaded to the appliances, not JSON about it: it is plain, because they
// have no license key to open another one with.
func (m *Manage) issueApplianceFile(c *gin.Context) error {
	var in applianceFile
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	wanted := licensefile.Request{HardwareIDs: in.MachineIDs, Hours: in.ValidHours}
	text, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (string, error) {
		made, err := m.Files.Issue(ctx, by, canonicalID(in.LicenseID), wanted)
		return made.Text, err
	})
	if err != nil {
		return err
	}
	c.Header("Content-Disposition", `attachment; filename="license"`)
	c.Data(http.StatusCreated, rpc.FileType, []byte(text))
	return nil
}
