package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/refusal"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// maxEntitlement bounds the code of an entitlement, in characters.
const maxEntitlement = 64

type leaseRequest struct {
	deviceRequest
	Entitlement string       `json:"entitlement" text:"identifier"`
	BorrowUntil jsonbody.End `json:"borrow_until"`
	OperationID string       `json:"operation_id" text:"identifier"`
}

type leaseResponse struct {
	LeaseID       string          `json:"lease_id"`
	LeaseToken    string          `json:"lease_token"`
	LicenseID     string          `json:"license_id"`
	HardwareID    string          `json:"hardware_id"`
	SessionID     *string         `json:"session_id"`
	Entitlement   *string         `json:"entitlement"`
	LeasedAt      time.Time       `json:"leased_at"`
	ExpiresAt     time.Time       `json:"expires_at"`
	BorrowedUntil *time.Time      `json:"borrowed_until"`
	Slots         wire.LeaseSlots `json:"slots"`
	Created       bool            `json:"created"`
}

func newLeaseResponse(g lease.Grant) leaseResponse {
	return leaseResponse{
		LeaseID:       g.Lease.ID,
		LeaseToken:    g.Token,
		LicenseID:     g.Lease.LicenseID,
		HardwareID:    g.Lease.HardwareID,
		SessionID:     httpx.TextOrNull(g.Lease.SessionID),
		Entitlement:   httpx.TextOrNull(g.Lease.Entitlement),
		LeasedAt:      g.Lease.LeasedAt,
		ExpiresAt:     g.Lease.ExpiresAt,
		BorrowedUntil: httpx.TimeOrNull(g.Lease.BorrowedUntil),
		Slots:         wire.LeaseSlots(g.Slots),
		Created:       g.Created,
	}
}

// leaseKeys answers the public keys of lease tokens.
func (a *API) leaseKeys(c *gin.Context) error {
	c.Header("Cache-Control", "public, max-age=300")
	c.Data(http.StatusOK, "application/json; charset=utf-8", a.Leases.Tokens.KeySet())
	return nil
}

func (a *API) checkOutLease(c *gin.Context) error {
	req := &leaseRequest{}
	if err := httpx.Bind(c, req); err != nil {
		return err
	}
	f := apierr.Fields{}
	req.deviceRequest.check(f)
	f.MaxLen("entitlement", req.Entitlement, maxEntitlement)
	f.MaxLen("operation_id", req.OperationID, maxText)
	if err := f.Err(); err != nil {
		return err
	}
	if err := a.identify(c, &req.deviceRequest); err != nil {
		return err
	}
	key, err := a.leaseOperation(c, req)
	if err != nil {
		return err
	}
	checkOut := func(ctx context.Context) (leaseResponse, error) {
		g, err := a.Leases.CheckOut(ctx, req.LicenseKey, req.wanted(c))
		return newLeaseResponse(g), err
	}
	resp, err := idempotency.Do(c.Request.Context(), a.Idempotency, key, checkOut)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if resp.Created {
		status = http.StatusCreated
	}
	c.JSON(status, resp)
	return nil
}

func (r *leaseRequest) wanted(c *gin.Context) lease.Request {
	return lease.Request{
		Client:      r.client(c),
		Entitlement: r.Entitlement,
		BorrowUntil: licensing.End{At: r.BorrowUntil.Time, Day: r.BorrowUntil.Day},
	}
}

// leaseOperation is the Idempotency-Key of a request, or the operation_id in its place.
func (a *API) leaseOperation(c *gin.Context, req *leaseRequest) (idempotency.Key, error) {
	scope := a.deviceScope(c, &req.deviceRequest)
	key, err := idempotency.KeyOf(c, scope)
	if err != nil || key.Key != "" || req.OperationID == "" {
		return key, err
	}
	body, err := httpx.Body(c)
	if err != nil {
		return key, err
	}
	return idempotency.Operation(c.Request, "operation "+scope, req.OperationID, body), nil
}

func (a *API) renewLease(c *gin.Context) error {
	proof, err := a.leaseProof(c)
	if err != nil {
		return err
	}
	if err := httpx.BindOptional(c, &struct{}{}); err != nil {
		return err
	}
	renew := func(ctx context.Context) (leaseResponse, error) {
		g, err := a.Leases.Renew(ctx, proof, leaseClient(c, proof))
		return newLeaseResponse(g), err
	}
	resp, err := idempotency.AnswerLast(c, a.Idempotency, "lease "+proof.LeaseID, renew)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, resp)
	return nil
}

func (a *API) releaseLease(c *gin.Context) error {
	proof, err := a.leaseProof(c)
	if err != nil {
		return err
	}
	l, slots, err := a.Leases.Release(c.Request.Context(), proof)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, wire.NewReleasedLease(&l, slots))
	return nil
}

// leaseProof reads the lease token of a request, which must be that of the lease in the path, and counts the call.
func (a *API) leaseProof(c *gin.Context) (lease.Proof, error) {
	raw, err := guard.Bearer(c.Request.Header, "lease_token")
	if err != nil {
		return lease.Proof{}, a.TokenAttempts.Refuse(c, err)
	}
	proof, err := a.Leases.Tokens.Proof(c.Request.Context(), raw)
	if id, _ := uid.Parse(c.Param("lease_id")); err == nil && id != proof.LeaseID {
		err = token.Refused("lease").WithMessagef("the lease token is that of another lease")
	}
	if err != nil {
		err = a.Refusals.Note(err, refusal.Verified(err, raw, origin(c)))
		return lease.Proof{}, a.TokenAttempts.RefuseToken(c, raw, err)
	}
	return proof, a.TokenQuota.Admit(c.Request.Context(), "lease|"+proof.LeaseID)
}

func leaseClient(c *gin.Context, proof lease.Proof) licensing.Client {
	return licensing.Client{
		HardwareID: proof.HardwareID,
		SessionID:  proof.SessionID,
		IP:         httpx.ClientIP(c),
		ViaProxy:   httpx.ViaProxy(c),
	}
}
