package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// maxPassword bounds what is looked at as a password, in characters.
const maxPassword = 256

// userRequest is the body of a sign-in.
type userRequest struct {
	Product    string `json:"product" text:"identifier"`
	Email      string `json:"email" text:"identifier"`
	CustomerID string `json:"customer_id" text:"identifier"`
	Password   string `json:"password"`
}

func (r *userRequest) check(f apierr.Fields) {
	f.Require("product", r.Product)
	f.Require("email", r.Email)
	f.MaxLen("product", r.Product, maxText)
	f.MaxLen("email", r.Email, maxText)
	f.MaxLen("customer_id", r.CustomerID, maxText)
	if r.Password == "" {
		f.Add("password", "is required")
	}
	f.MaxLen("password", r.Password, maxPassword)
}

func (r *userRequest) attempt(c *gin.Context) user.Attempt {
	product := r.Product
	if bound := apikey.Of(c).Product; bound != "" && bound != product {
		product = "" // an API key that is bound to a product knows nobody of another
	}
	return user.Attempt{
		Product: product, Email: r.Email, CustomerID: r.CustomerID, Password: r.Password, IP: httpx.ClientIP(c),
	}
}

type sessionResponse struct {
	UserToken          string            `json:"user_token"`
	ExpiresAt          time.Time         `json:"expires_at"`
	UserID             string            `json:"user_id"`
	Email              string            `json:"email"`
	Name               *string           `json:"name"`
	CustomerID         string            `json:"customer_id"`
	MustChangePassword bool              `json:"must_change_password"`
	Licenses           []assignedLicense `json:"licenses"`
}

// assignedLicense is a license that a user may choose by license_id.
type assignedLicense struct {
	LicenseID   string           `json:"license_id"`
	Product     string           `json:"product"`
	Policy      *string          `json:"policy"`
	LicenseType string           `json:"license_type"`
	IsTrial     bool             `json:"is_trial"`
	Status      licensing.Status `json:"status"`
	ExpiresAt   *time.Time       `json:"expires_at"`
	Features    []string         `json:"features"`
	Limits      wire.Limits      `json:"limits"`
}

func (a *API) signIn(c *gin.Context) error {
	var req userRequest
	if err := httpx.Bind(c, &req); err != nil {
		return err
	}
	f := apierr.Fields{}
	if req.check(f); len(f) > 0 {
		return f.Err()
	}
	ctx := c.Request.Context()
	session, err := a.SignIns.SignIn(ctx, req.attempt(c))
	if err != nil {
		return err
	}
	body, err := a.newSessionResponse(ctx, session)
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "no-store")
	c.PureJSON(http.StatusOK, body)
	return nil
}

func (a *API) changePassword(c *gin.Context) error {
	var req struct {
		userRequest
		NewPassword string `json:"new_password"`
	}
	if err := httpx.Bind(c, &req); err != nil {
		return err
	}
	f := apierr.Fields{}
	if req.check(f); len(f) > 0 {
		return f.Err()
	}
	account := sha256.Sum256([]byte(req.Product + "\x00" + user.Fold(req.Email)))
	scope := apikey.Of(c).ID + " user " + hex.EncodeToString(account[:])
	change := func(ctx context.Context) (sessionResponse, error) {
		session, err := a.SignIns.ChangePassword(ctx, req.attempt(c), req.NewPassword)
		if err != nil {
			return sessionResponse{}, err
		}
		return a.newSessionResponse(ctx, session)
	}
	body, err := idempotency.Answer(c, a.Idempotency, scope, change)
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "no-store")
	c.PureJSON(http.StatusOK, body)
	return nil
}

func (a *API) newSessionResponse(ctx context.Context, s user.Session) (sessionResponse, error) {
	body := sessionResponse{
		UserToken:          s.Token,
		ExpiresAt:          s.ExpiresAt,
		UserID:             s.User.ID,
		Email:              s.User.Email,
		Name:               httpx.TextOrNull(s.User.Name),
		CustomerID:         s.User.CustomerID,
		MustChangePassword: s.User.MustChangePassword,
		Licenses:           []assignedLicense{},
	}
	now := a.Clock.Now()
	for _, id := range s.User.Licenses {
		l, _, err := a.Seats.Lookup.License(ctx, id)
		if errors.Is(err, licensing.ErrNotFound) {
			continue
		}
		if err != nil {
			return body, err
		}
		body.Licenses = append(body.Licenses, newAssignedLicense(l, now))
	}
	return body, nil
}

func newAssignedLicense(l *licensing.License, now time.Time) assignedLicense {
	return assignedLicense{
		LicenseID:   l.ID,
		Product:     l.Product,
		Policy:      httpx.TextOrNull(l.Policy),
		LicenseType: l.LicenseType(),
		IsTrial:     l.IsTrial,
		Status:      l.Status(now),
		ExpiresAt:   httpx.TimeOrNull(l.ExpiresAt),
		Features:    append([]string{}, l.UsableFeatures(now)...),
		Limits:      wire.NewLimits(l.Limits()),
	}
}

// identify finds the user of the token that a device sent, if it sent one.
func (a *API) identify(c *gin.Context, r *deviceRequest) error {
	if r.UserToken == "" {
		return nil
	}
	u, err := a.SignIns.Tokens.Check(c.Request.Context(), r.UserToken)
	if err == nil {
		r.user = &licensing.SignedIn{User: u, LicenseID: r.LicenseID}
	}
	return err
}
