// Package delegated serves clients of delegated keys: partners who make slave keys with a secret master key, and
// devices that are activated by either. docs/dialects/delegated-keys.md has the protocol and what it means here.
package delegated

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

const (
	slavesPath   = "/slaves"
	activatePath = "/activate"
)

// Paths are what the paths of all routes begin with.
var Paths = []string{slavesPath, activatePath}

const (
	// maxBody is the largest body, in bytes: it is read before the caller is known.
	maxBody = 16 << 10
	// maxRuntimeKey is the longest runtime key, in characters: it is the hardware id of a device.
	maxRuntimeKey = 255
)

// limit is what one key may do, as an API key that names no limits.
var limit = ratelimit.Limit{PerMinute: 60, PerHour: 1000}

// Keys are the use cases; *delegation.Keys has them.
type Keys interface {
	Find(ctx context.Context, text string) (delegation.Key, error)
	Unknown(text string, c licensing.Client)
	AddSlave(ctx context.Context, k delegation.Key, comment string) (delegation.NewSlave, error)
	Activate(ctx context.Context, k delegation.Key, c licensing.Client) (delegation.Activation, error)
}

// Deps is what the handlers work with.
type Deps struct {
	Keys        Keys
	Idempotency *idempotency.Store
	// Attempts, when not nil, bounds the refused keys that one client address may send.
	Attempts *guard.Attempts
	// Limiter counts the calls of each key.
	Limiter ratelimit.Limiter
}

// Dialect is the handlers.
type Dialect struct{ Deps }

// New returns the handlers.
func New(d Deps) *Dialect { return &Dialect{d} }

// Routes is the whole dialect.
func (d *Dialect) Routes(r gin.IRouter) {
	g := r.Group("", httpx.MaxBody(maxBody))
	g.POST(slavesPath, wrap(d.addSlave))
	g.POST(activatePath, wrap(d.activate))
	g.GET(activatePath, wrap(d.activateByQuery))
}

// slaveRequest is the body of POST /slaves.
type slaveRequest struct {
	MasterKey string `json:"masterKey" text:"identifier"`
	Comment   string `json:"comment"`
}

func (r *slaveRequest) check() error {
	f := apierr.Fields{}
	f.Require("masterKey", r.MasterKey)
	f.MaxLen("comment", r.Comment, delegation.MaxComment)
	return f.Err()
}

// slaveResponse has its members in the order of the protocol's example.
type slaveResponse struct {
	Organisation string `json:"organisation"`
	Master       string `json:"master"`
	Used         bool   `json:"used"`
	// CreateDate is in milliseconds since 1970.
	CreateDate int64  `json:"createDate"`
	Key        string `json:"key"`
}

func (d *Dialect) addSlave(c *gin.Context) error {
	var in slaveRequest
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	return d.withKey(c, in.MasterKey, licensing.Client{}, func(k delegation.Key) error {
		out, err := idempotency.Answer(c, d.Idempotency, k.ID(), func(ctx context.Context) (slaveResponse, error) {
			made, err := d.Keys.AddSlave(ctx, k, in.Comment)
			return slaveResponse{
				Organisation: made.OrganisationID,
				Master:       made.MasterID,
				CreateDate:   made.CreatedAt.UnixMilli(),
				Key:          made.Key,
			}, err
		})
		if err != nil {
			return err
		}
		return answer(c, http.StatusOK, out)
	})
}

// activateRequest is the body of POST /activate.
type activateRequest struct {
	Key        string `json:"masterOrSlaveKey" text:"identifier"`
	RuntimeKey string `json:"runtimeKey" text:"identifier"`
}

func (r *activateRequest) check() error {
	f := apierr.Fields{}
	f.Require("masterOrSlaveKey", r.Key)
	f.Require("runtimeKey", r.RuntimeKey)
	f.MaxLen("runtimeKey", r.RuntimeKey, maxRuntimeKey)
	return f.Err()
}

// activateResponse must begin with the token and must not end with it: clients cut it out by its place.
type activateResponse struct {
	Token       string `json:"token"`
	TotalCredit int    `json:"totalCredit"`
	UsedCredit  int    `json:"usedCredit"`
}

func (d *Dialect) activate(c *gin.Context) error {
	var in activateRequest
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	return d.withKey(c, in.Key, client(c, in.RuntimeKey), func(k delegation.Key) error {
		return d.answerActivation(c, k, in.RuntimeKey)
	})
}

func (d *Dialect) answerActivation(c *gin.Context, k delegation.Key, runtimeKey string) error {
	made, err := d.Keys.Activate(c.Request.Context(), k, client(c, runtimeKey))
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, activateResponse(made))
}

func client(c *gin.Context, runtimeKey string) licensing.Client {
	return licensing.Client{HardwareID: runtimeKey, IP: httpx.ClientIP(c), ViaProxy: httpx.ViaProxy(c)}
}

// answer prints v without blanks and without a line break at the end.
func answer(c *gin.Context, status int, v any) error {
	raw, err := json.Marshal(v)
	if err == nil {
		c.Data(status, httpx.JSONType, raw)
	}
	return err
}
