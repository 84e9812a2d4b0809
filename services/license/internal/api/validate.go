package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

type validateResponse struct {
	Valid bool `json:"valid"`
	*refusedBody
	LicenseID string      `json:"license_id"`
	Product   string      `json:"product"`
	Policy    *string     `json:"policy"`
	ExpiresAt *time.Time  `json:"expires_at"`
	Features  []string    `json:"features"`
	Limits    wire.Limits `json:"limits"`
	Cached    bool        `json:"cached"`
	wire.Standing
	// Entitlements and Counters are there where the call named some.
	Entitlements map[string]entitlementAnswer `json:"entitlements,omitempty"`
	Counters     map[string]wire.Counter      `json:"counters,omitempty"`
	// SignedStatement is there where the call had a nonce.
	SignedStatement string `json:"signed_statement,omitempty"`
}

// refusedBody is what a validation that is not valid has of an error.
type refusedBody struct {
	Error     string `json:"error"`
	ErrorCode string `json:"error_code"`
	// Details is never null.
	Details map[string]any `json:"details"`
}

func newRefusedBody(err error) *refusedBody {
	e := apierr.From(wire.Refusal(err))
	body := &refusedBody{e.Message, e.Code, e.Details}
	if body.Details == nil {
		body.Details = map[string]any{}
	}
	return body
}

type entitlementAnswer struct {
	Granted   bool       `json:"granted"`
	ExpiresAt *time.Time `json:"expires_at"`
	ErrorCode string     `json:"error_code,omitempty"`
}

// appendJSON appends what encoding/json makes of r, in a fifth of its time: no answer is asked for as often.
func (r *validateResponse) appendJSON(b []byte) []byte {
	b = strconv.AppendBool(append(b, `{"valid":`...), r.Valid)
	if r.refusedBody != nil {
		b = httpx.AppendString(append(b, `,"error":`...), r.Error)
		b = httpx.AppendString(append(b, `,"error_code":`...), r.ErrorCode)
		b = appendRare(append(b, `,"details":`...), r.Details)
	}
	b = httpx.AppendString(append(b, `,"license_id":`...), r.LicenseID)
	b = httpx.AppendString(append(b, `,"product":`...), r.Product)
	b = appendText(append(b, `,"policy":`...), r.Policy)
	b = appendTime(append(b, `,"expires_at":`...), r.ExpiresAt)
	b = appendStrings(append(b, `,"features":`...), r.Features)
	b = appendCount(append(b, `,"limits":{"max_devices":`...), r.Limits.MaxDevices)
	b = strconv.AppendInt(append(b, `,"current_devices":`...), int64(r.Limits.CurrentDevices), 10)
	b = strconv.AppendBool(append(b, `},"cached":`...), r.Cached)
	b = appendStanding(b, &r.Standing)
	if r.Entitlements != nil {
		b = appendRare(append(b, `,"entitlements":`...), r.Entitlements)
	}
	if r.Counters != nil {
		b = appendRare(append(b, `,"counters":`...), r.Counters)
	}
	if r.SignedStatement != "" {
		b = httpx.AppendString(append(b, `,"signed_statement":`...), r.SignedStatement)
	}
	return append(b, '}')
}

// appendRare appends what most answers do not have.
func appendRare(b []byte, v any) []byte {
	encoded, _ := json.Marshal(v) // maps of plain structs always marshal
	return append(b, encoded...)
}

func appendStanding(b []byte, s *wire.Standing) []byte {
	b = httpx.AppendString(append(b, `,"license_type":`...), s.LicenseType)
	b = strconv.AppendBool(append(b, `,"is_trial":`...), s.IsTrial)
	b = httpx.AppendString(append(b, `,"status":`...), string(s.Status))
	if s.Grace {
		b = append(b, `,"grace":true`...)
	}
	if s.GraceEndsAt != nil {
		b = appendTime(append(b, `,"grace_ends_at":`...), s.GraceEndsAt)
	}
	if s.Starts != "" {
		b = httpx.AppendString(append(b, `,"starts":`...), s.Starts)
	}
	if s.DurationDays != 0 {
		b = strconv.AppendInt(append(b, `,"duration_days":`...), int64(s.DurationDays), 10)
	}
	if s.DurationMonths != 0 {
		b = strconv.AppendInt(append(b, `,"duration_months":`...), int64(s.DurationMonths), 10)
	}
	return b
}

// appendTime takes times of the years 0 to 9999, which the database holds to.
func appendTime(b []byte, t *time.Time) []byte {
	if t == nil {
		return append(b, "null"...)
	}
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

// textOrNull is httpx.TextOrNull without a copy on the heap.
func textOrNull(text *string) *string {
	if *text == "" {
		return nil
	}
	return text
}

func appendText(b []byte, text *string) []byte {
	if text == nil {
		return append(b, "null"...)
	}
	return httpx.AppendString(b, *text)
}

func appendCount(b []byte, n *int) []byte {
	if n == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(*n), 10)
}

func appendStrings(b []byte, list []string) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = httpx.AppendString(b, s)
	}
	return append(b, ']')
}

// validateRequest may ask of entitlements, and need some of them, and consume.
type validateRequest struct {
	deviceRequest
	Entitlements        []string         `json:"entitlements" text:"identifier" max:"100"`
	RequireEntitlements []string         `json:"require_entitlements" text:"identifier" max:"100"`
	Consume             map[string]int64 `json:"consume"`
	OperationID         *string          `json:"operation_id" text:"identifier"`
	operation           string           // OperationID, or the one that an Idempotency-Key names
	// Nonce has the answer signed.
	Nonce string `json:"nonce" text:"identifier"`
}

func bindValidate(c *gin.Context) (*validateRequest, error) {
	req := &validateRequest{}
	if err := httpx.Bind(c, req); err != nil {
		return nil, err
	}
	f := apierr.Fields{}
	req.deviceRequest.check(f)
	for _, code := range req.Entitlements {
		f.MaxLen("entitlements", code, maxText)
	}
	for _, code := range req.RequireEntitlements {
		f.MaxLen("require_entitlements", code, maxText)
	}
	if len(req.Consume) > maxConsumed {
		f.Add("consume", fmt.Sprintf("must have at most %d members", maxConsumed))
	}
	for name, amount := range req.Consume {
		checkAmount(f, "consume."+name, amount)
	}
	if id := req.OperationID; id != nil {
		if req.operation = *id; *id == "" && len(req.Consume) > 0 { // it would count at each repeat
			f.Add("operation_id", jsonbody.EmptyText)
		}
	}
	f.MaxLen("operation_id", req.operation, maxText)
	f.MaxLen("nonce", req.Nonce, file.MaxNonce)
	return req, f.Err()
}

// maxConsumed is how many counters one call may name.
const maxConsumed = 32

func (a *API) validate(c *gin.Context) error {
	req, err := bindValidate(c)
	if err != nil {
		return err
	}
	resp, err := a.validated(c, req)
	if isVerdict(err) {
		httpx.WriteErrorWith(c, wire.Refusal(err), map[string]any{"valid": false})
		return nil
	}
	if err != nil {
		return err
	}
	httpx.WriteJSON(c, http.StatusOK, resp.appendJSON(make([]byte, 0, 512)))
	return nil
}

// nameOperation has the Idempotency-Key of a call that consumes name its operation where the body does not.
func (a *API) nameOperation(c *gin.Context, req *validateRequest) error {
	if len(c.Request.Header["Idempotency-Key"]) == 0 {
		return nil
	}
	key, err := idempotency.KeyOf(c, a.deviceScope(c, &req.deviceRequest))
	if len(req.Consume) > 0 && req.operation == "" {
		req.operation = counter.KeyedOperation(key.Scope, key.Key)
	}
	return err
}

func (a *API) validated(c *gin.Context, req *validateRequest) (validateResponse, error) {
	if err := a.identify(c, &req.deviceRequest); err != nil {
		return validateResponse{}, err
	}
	if err := a.nameOperation(c, req); err != nil {
		return validateResponse{}, err
	}
	ctx, client := c.Request.Context(), req.client(c)
	var (
		v      licensing.Validation
		states []counter.State
		err    error
	)
	switch {
	case len(req.Consume) > 0:
		v, states, err = a.Counters.Validate(ctx, req.LicenseKey, client, counter.Use{
			Amounts: req.Consume, OperationID: req.operation, Required: req.RequireEntitlements,
		})
	case len(req.RequireEntitlements) > 0:
		v, err = a.Seats.ValidateAnd(ctx, req.LicenseKey, client, licensing.Require(req.RequireEntitlements))
	default:
		v, err = a.Seats.Validate(ctx, req.LicenseKey, client)
	}
	if err != nil {
		return validateResponse{}, err
	}
	resp := a.newValidateResponse(&v, req, states)
	if v.Valid && req.Nonce != "" {
		resp.SignedStatement, err = a.Files.Statement(ctx, &v, req.Nonce)
	}
	if len(states) > 0 {
		return resp, nil // what was consumed is told, also without a signature
	}
	return resp, err
}

func (a *API) newValidateResponse(
	v *licensing.Validation, req *validateRequest, states []counter.State,
) validateResponse {
	now := a.Clock.Now()
	resp := validateResponse{
		Valid:     v.Valid,
		LicenseID: v.License.ID,
		Product:   v.License.Product,
		Policy:    textOrNull(&v.License.Policy),
		ExpiresAt: httpx.TimeOrNull(v.License.ExpiresAt),
		Features:  v.License.UsableFeatures(now),
		Limits:    wire.NewLimits(v.License.Limits()),
		Cached:    v.Cached,
		Standing:  wire.NewStanding(&v.License.Terms, v.Status),
	}
	if !v.Valid {
		resp.refusedBody = newRefusedBody(v.Refusal)
	}
	if len(req.Entitlements) > 0 {
		resp.Entitlements = newEntitlementAnswers(v.License.AskEntitlements(req.Entitlements, now))
	}
	if len(states) > 0 {
		resp.Counters = wire.NewCounters(states)
	}
	return resp
}

func newEntitlementAnswers(asked map[string]licensing.AskedEntitlement) map[string]entitlementAnswer {
	answers := make(map[string]entitlementAnswer, len(asked))
	for code, a := range asked {
		answers[code] = entitlementAnswer{a.Granted, httpx.TimeOrNull(a.ExpiresAt), a.ErrorCode}
	}
	return answers
}

// isVerdict tells a verdict on the license from a failure to reach one: only the first says "valid": false.
func isVerdict(err error) bool {
	if err == nil {
		return false // nothing to make a pointer for
	}
	var e *apierr.Error
	return errors.As(err, &e) &&
		(e.Kind == apierr.NotFound || e.Kind == apierr.Forbidden || e.Kind == apierr.Unauthenticated)
}
