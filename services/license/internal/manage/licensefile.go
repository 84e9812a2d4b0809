package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

func (m *Manage) issueLicenseFile(c *gin.Context) error {
	var in struct {
		HardwareIDs jsonbody.Optional[[]string] `json:"hardware_ids" text:"identifier" null:"ok"`
		ValidHours  *int                        `json:"valid_hours"`
		Encrypt     bool                        `json:"encrypt"`
	}
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	bad := apierr.Fields{}
	if in.HardwareIDs.Null { // perhaps the empty variable of a script, which did not mean any machine
		bad.Add("hardware_ids", "must not be null; leave it out for a file that any machine may use")
	}
	for _, id := range in.HardwareIDs.Value {
		checkHardwareID(bad, "hardware_ids", id)
	}
	wanted := licensefile.Request{HardwareIDs: in.HardwareIDs.Value, Hours: in.ValidHours, Encrypt: in.Encrypt}
	if err := bad.Err(); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (wire.LicenseFile, error) {
		made, err := m.Files.Issue(ctx, by, licenseID(c), wanted)
		return wire.NewLicenseFile(&made), err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusCreated, body)
	return nil
}

// maxOverlap is how long the signing key before may be published beside the new one: a year.
const maxOverlap = 8760 * time.Hour

type signingKeyBody struct {
	Product   string    `json:"product"`
	KID       string    `json:"kid"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
}

func (m *Manage) rotateSigningKey(c *gin.Context) error {
	overlap, err := bindOverlap(c, maxOverlap)
	if err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (signingKeyBody, error) {
		p, err := m.Products.Store.Product(ctx, code(c))
		if err != nil {
			return signingKeyBody{}, err
		}
		k, err := m.Files.Keys.Rotate(ctx, by, p.Code, overlap)
		if err != nil {
			return signingKeyBody{}, err
		}
		return signingKeyBody{Product: k.Product, KID: k.KID, NotBefore: k.NotBefore, NotAfter: k.NotAfter}, nil
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, body)
	return nil
}
