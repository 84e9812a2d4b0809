// Package spectra serves the licensing API of Spectra Analyze appliances, by which an owner licenses this installation
// itself. docs/dialects/spectra-analyze.md has the API and what it means here.
package spectra

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
)

const (
	// mainPath is also that of our own API, which has other paths below it.
	mainPath = "/api/v1/license"
	// formerPath is that of older appliances.
	formerPath = "/api/license/v1"

	machineIDPath = "/machine-id/generate"
	uploadPath    = "/upload"
	cloudPath     = "/configure/cloud"
	statusPath    = "/status"
)

// Paths are what the paths of all routes begin with; that with a slash at its end is a path alone.
var Paths = []string{
	mainPath + "/", mainPath + "/machine-id", mainPath + uploadPath, mainPath + "/configure", mainPath + statusPath,
	formerPath,
}

// maxBody is the largest body, in bytes: a license file is the most of them.
const maxBody = 64 << 10

// Appliance is the use cases; *appliance.Appliance has them.
type Appliance interface {
	Current(ctx context.Context) (*appliance.Installation, appliance.Status, error)
	GenerateMachineID(ctx context.Context, by *audit.Actor) (string, error)
	Upload(ctx context.Context, by *audit.Actor, text []byte) error
	Connect(ctx context.Context, by *audit.Actor, account appliance.Account) error
}

// Admins knows whose an admin key is; *peers.Admins does.
type Admins interface {
	Authenticate(ctx context.Context, key string) (*audit.Actor, error)
}

// Deps is what the handlers work with.
type Deps struct {
	Appliance Appliance
	Admins    Admins
	// AdminPrefix begins the admin keys that were made, not chosen.
	AdminPrefix string
	// Attempts bounds the refused admin keys that one client address may send; nil bounds nothing.
	Attempts *guard.Attempts
	Clock    clock.Clock
}

// Dialect is the handlers.
type Dialect struct{ Deps }

// New returns the handlers.
func New(d Deps) *Dialect { return &Dialect{d} }

// Routes is the whole dialect. Each path is served with a slash at its end, too.
func (d *Dialect) Routes(r gin.IRouter) {
	for _, path := range []string{mainPath, formerPath} {
		g := r.Group(path, httpx.MaxBody(maxBody), httpx.Wrap(d.requireOwner))
		g.GET("", httpx.Wrap(d.information))
		g.GET(statusPath, httpx.Wrap(d.status))
		// These wait for the upstream.
		change := g.Group("", httpx.Timeout(httpx.MaxTimeout))
		change.POST(machineIDPath, httpx.Wrap(d.generateMachineID))
		change.PUT(uploadPath, httpx.Wrap(d.upload))
		change.POST(cloudPath, httpx.Wrap(d.configureCloud))
	}
}

type statusResponse struct {
	Status appliance.Status `json:"status"`
}

func (d *Dialect) status(c *gin.Context) error {
	_, status, err := d.Appliance.Current(c.Request.Context())
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, statusResponse{status})
	return nil
}

// informationResponse has its members in the order of the API's example. Texts that are not known are empty.
type informationResponse struct {
	Status       appliance.Status `json:"status"`
	Product      string           `json:"product"`
	MachineID    string           `json:"machineId"`
	Version      int              `json:"version"`
	SerialNumber string           `json:"serialNumber"`
	LicenseType  string           `json:"licenseType"`
	Company      string           `json:"company"`
	ExpiryDate   *string          `json:"expiryDate"`
	CreationDate *string          `json:"creationDate"`
}

func (d *Dialect) information(c *gin.Context) error {
	current, _, err := d.Appliance.Current(c.Request.Context())
	if err != nil {
		return err
	}
	v := current.View(d.Clock.Now())
	c.PureJSON(http.StatusOK, informationResponse{
		Status:       v.Status,
		Product:      v.Product,
		MachineID:    v.MachineID,
		Version:      v.LicenseVersion,
		SerialNumber: v.LicenseID,
		LicenseType:  strings.ToUpper(strings.ReplaceAll(v.LicenseType, "-", "_")),
		Company:      v.Customer,
		ExpiryDate:   date(v.ExpiresAt),
		CreationDate: date(v.CreatedAt),
	})
	return nil
}

// date is nil for none.
func date(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(time.DateOnly)
	return &text
}

type machineIDResponse struct {
	MachineID string `json:"machineId"`
}

// generateMachineID takes no notice of a body: some clients send an empty form.
func (d *Dialect) generateMachineID(c *gin.Context) error {
	id, err := d.Appliance.GenerateMachineID(c.Request.Context(), owner(c))
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusCreated, machineIDResponse{id})
	return nil
}

func (d *Dialect) upload(c *gin.Context) error {
	text, err := uploaded(c)
	if err != nil {
		return err
	}
	if err := d.Appliance.Upload(c.Request.Context(), owner(c), text); err != nil {
		return err
	}
	return d.information(c)
}

func (d *Dialect) configureCloud(c *gin.Context) error {
	var in cloudRequest
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	account, err := in.account()
	if err != nil {
		return err
	}
	if err := d.Appliance.Connect(c.Request.Context(), owner(c), account); err != nil {
		return err
	}
	return d.information(c)
}
