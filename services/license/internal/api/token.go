package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/proto/claims"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// heartbeatEvery is the pace that clients are asked to keep, in seconds.
const heartbeatEvery = 60

// maxSessionData bounds what a heartbeat may carry, in bytes of JSON.
const maxSessionData = 4 << 10

// Tokens checks a token's signature, audience and life, and reads its claims; INVALID_TOKEN otherwise.
type Tokens interface {
	Verify(ctx context.Context, raw string, into jwt.Claims) error
}

// Families reports whether an access token is refused although its signature is good: its family was revoked, or its
// pair replaced before it was used. Asking counts as use of the pair.
type Families interface {
	Refused(ctx context.Context, familyID, tokenID string) (bool, error)
}

const holderKey = "latchkey.holder"

// accessToken admits a device by its access token.
func (a *API) accessToken(c *gin.Context) {
	holder, err := a.holder(c)
	if err != nil {
		httpx.WriteError(c, err)
		return
	}
	c.Set(holderKey, holder)
}

func (a *API) holder(c *gin.Context) (licensing.Holder, error) {
	raw, err := guard.Bearer(c.Request.Header, "access token")
	if err != nil {
		return licensing.Holder{}, a.TokenAttempts.Refuse(c, err)
	}
	holder, err := a.verify(c, raw)
	if err != nil {
		return licensing.Holder{}, a.refuseToken(c, raw, err)
	}
	return holder, nil
}

// refuseToken notes that package token, or a rule about a token that passed there, refused raw.
func (a *API) refuseToken(c *gin.Context, raw string, err error) error {
	err = wire.Refusal(err)
	err = a.Refusals.Note(err, refusal.Verified(err, raw, origin(c)))
	return a.TokenAttempts.RefuseToken(c, raw, err)
}

func origin(c *gin.Context) refusal.Origin {
	return refusal.Origin{IP: httpx.ClientIP(c), ViaProxy: httpx.ViaProxy(c)}
}

// asHolder has handle serve the holder of an access token that passed accessToken, and notes where its license or
// device refuses it.
func (a *API) asHolder(handle func(*gin.Context) error) gin.HandlerFunc {
	return httpx.Wrap(func(c *gin.Context) error {
		err := wire.Refusal(handle(c))
		if err == nil {
			return nil
		}
		raw, _ := guard.Bearer(c.Request.Header, "access token") // accessToken has found it
		return a.Refusals.Note(err, refusal.Signed(raw, origin(c)))
	})
}

func (a *API) verify(c *gin.Context, raw string) (licensing.Holder, error) {
	ctx := c.Request.Context()
	var access claims.Access
	if err := a.Tokens.Verify(ctx, raw, &access); err != nil {
		return licensing.Holder{}, err
	}
	refused, err := a.Families.Refused(ctx, access.FamilyID, access.ID)
	if err != nil {
		return licensing.Holder{}, err
	}
	if refused {
		return licensing.Holder{}, licensing.RevokedToken()
	}
	holder := licensing.Holder{
		LicenseID:      access.Subject,
		HardwareID:     access.HardwareID,
		LicenseVersion: access.LicenseVersion,
	}
	return holder, a.admit(ctx, holder)
}

// admit counts a call of a device, which may begin as many families of tokens as its API key lets it. A token that was
// revoked takes nothing from the device, whose new tokens others may not use up; TokenAttempts counts it by itself.
func (a *API) admit(ctx context.Context, h licensing.Holder) error {
	device := h.LicenseID + "|" + h.HardwareID
	if err := a.TokenQuota.Admit(ctx, device); err != nil {
		return err
	}
	_, err := a.Seats.CheckHolder(ctx, h, &licensing.Client{})
	if errors.Is(err, licensing.ErrToken) {
		a.TokenQuota.Refund(ctx, device)
		return err
	}
	return nil // other refusals are the endpoint's to give
}

func holderOf(c *gin.Context) licensing.Holder {
	return c.MustGet(holderKey).(licensing.Holder)
}

type heartbeatRequest struct {
	SessionData jsonbody.Object `json:"session_data"`
	clientMembers
}

type heartbeatResponse struct {
	Status               string           `json:"status"`
	LicenseID            string           `json:"license_id"`
	HardwareID           string           `json:"hardware_id"`
	ServerTime           time.Time        `json:"server_time"`
	NextHeartbeatSeconds int              `json:"next_heartbeat_seconds"`
	License              heartbeatLicense `json:"license"`
}

type heartbeatLicense struct {
	IsActive  bool       `json:"is_active"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func (a *API) heartbeat(c *gin.Context) error {
	var req heartbeatRequest
	if err := httpx.BindOptional(c, &req); err != nil {
		return err
	}
	session, err := req.session()
	if err != nil {
		return err
	}
	holder := holderOf(c)
	l, err := a.Seats.Heartbeat(c.Request.Context(), holder, req.client(c, holder.HardwareID), session, req.SessionData)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, heartbeatResponse{
		Status:               "ok",
		LicenseID:            l.ID,
		HardwareID:           holder.HardwareID,
		ServerTime:           a.Clock.Now(),
		NextHeartbeatSeconds: heartbeatEvery,
		License:              heartbeatLicense{IsActive: l.IsActive, ExpiresAt: httpx.TimeOrNull(l.ExpiresAt)},
	})
	return nil
}

func (r *heartbeatRequest) session() (*structpb.Struct, error) {
	f := apierr.Fields{}
	r.check(f)
	if len(r.SessionData) > maxSessionData {
		f.Add("session_data", fmt.Sprintf("must be at most %d bytes of JSON", maxSessionData))
	}
	if err := f.Err(); err != nil || len(r.SessionData) == 0 {
		return nil, err
	}
	var session map[string]any // protobuf's own reading of JSON refuses a member given twice
	if err := json.Unmarshal(r.SessionData, &session); err != nil {
		return nil, err
	}
	return structpb.NewStruct(session)
}

type offlineTokenRequest struct {
	DurationHours *int `json:"duration_hours"`
}

type offlineTokenResponse struct {
	Token         string    `json:"token"`
	TokenID       string    `json:"token_id"`
	ExpiresAt     time.Time `json:"expires_at"`
	DurationHours int       `json:"duration_hours"`
	LicenseID     string    `json:"license_id"`
	HardwareID    string    `json:"hardware_id"`
}

func (a *API) offlineToken(c *gin.Context) error {
	var req offlineTokenRequest
	if err := httpx.BindOptional(c, &req); err != nil {
		return err
	}
	if req.DurationHours != nil {
		f := apierr.Fields{}
		f.Range("duration_hours", *req.DurationHours, 1, claims.MaxOfflineHours)
		if err := f.Err(); err != nil {
			return err
		}
	}
	holder := holderOf(c)
	client := licensing.Client{HardwareID: holder.HardwareID, IP: httpx.ClientIP(c), ViaProxy: httpx.ViaProxy(c)}
	resp, err := idempotency.AnswerLast(c, a.Idempotency, holder.LicenseID+" "+holder.HardwareID,
		func(ctx context.Context) (offlineTokenResponse, error) {
			t, signed, err := a.Offline.IssueOfflineToken(ctx, holder, client, req.DurationHours)
			return offlineTokenResponse{
				Token:         signed,
				TokenID:       t.ID,
				ExpiresAt:     t.ExpiresAt,
				DurationHours: t.Hours,
				LicenseID:     t.LicenseID,
				HardwareID:    t.HardwareID,
			}, err
		})
	if err != nil {
		return err
	}
	c.JSON(http.StatusCreated, resp)
	return nil
}

type validateOfflineRequest struct {
	Token string `json:"token" text:"identifier"`
}

type validateOfflineResponse struct {
	Valid      bool      `json:"valid"`
	LicenseID  string    `json:"license_id"`
	HardwareID string    `json:"hardware_id"`
	Features   []string  `json:"features"`
	IssuedAt   time.Time `json:"issued_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

func (a *API) validateOffline(c *gin.Context) error {
	var req validateOfflineRequest
	if err := httpx.Bind(c, &req); err != nil {
		return err
	}
	f := apierr.Fields{}
	f.Require("token", req.Token)
	if err := f.Err(); err != nil {
		return err
	}
	offline, err := a.verifyOffline(c.Request.Context(), req.Token)
	if err != nil {
		return a.refuseToken(c, req.Token, err)
	}
	c.JSON(http.StatusOK, validateOfflineResponse{
		Valid: true, LicenseID: offline.Subject, HardwareID: offline.HardwareID, Features: offline.Features,
		IssuedAt: offline.IssuedAt.Add(claims.SlowClock).UTC(), ExpiresAt: offline.ExpiresAt.UTC(),
	})
	return nil
}

func (a *API) verifyOffline(ctx context.Context, raw string) (*claims.Offline, error) {
	var offline claims.Offline
	if err := a.OfflineTokens.Verify(ctx, raw, &offline); err != nil {
		return nil, err
	}
	holder := licensing.Holder{
		LicenseID:      offline.Subject,
		HardwareID:     offline.HardwareID,
		LicenseVersion: offline.LicenseVersion,
	}
	seat, err := a.Offline.CheckOffline(ctx, holder)
	if err != nil {
		return nil, err
	}
	now := a.Clock.Now()
	offline.Features = seat.Granted(offline.FeaturesUntil.Left(offline.Features, now), now)
	return &offline, nil
}
