package manage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// question is the body of explain: a call that is to be explained, with the members that the call has.
type question struct {
	LicenseKey *string `json:"license_key" text:"key"`
	LicenseID  *string `json:"license_id" text:"identifier"`
	// Operation is validate where it is left out.
	Operation  *string           `json:"operation"`
	HardwareID string            `json:"hardware_id" text:"identifier"`
	Product    string            `json:"product" text:"identifier"`
	User       string            `json:"user" text:"identifier"`
	UserToken  string            `json:"user_token" text:"identifier"`
	AppVersion string            `json:"app_version" text:"identifier"`
	Components map[string]string `json:"components"`
	IsVM       bool              `json:"is_vm"`
	Address    string            `json:"address" text:"identifier"`
	At         *time.Time        `json:"at"`
	SessionID  string            `json:"session_id" text:"identifier"`

	// What follows is of some operations only.
	RequireEntitlements []string         `json:"require_entitlements" text:"identifier" max:"100"`
	Consume             map[string]int64 `json:"consume"`
	Counter             string           `json:"counter" text:"identifier"`
	Amount              *int64           `json:"amount"`
	Entitlement         string           `json:"entitlement" text:"identifier"`
	BorrowUntil         *jsonbody.End    `json:"borrow_until"`
	// LeaseID asks about the renewal of a lease, for which nothing counts but its device and the address.
	LeaseID         string `json:"lease_id" text:"identifier"`
	ValidHours      *int   `json:"valid_hours"`
	Encrypt         bool   `json:"encrypt"`
	Nonce           string `json:"nonce" text:"identifier"`
	DevicePublicKey string `json:"device_public_key" text:"identifier"`

	// What follows decides nothing; the calls that are explained have it.
	Entitlements []string          `json:"entitlements" text:"identifier" max:"100"`
	DeviceName   string            `json:"device_name" text:"identifier"`
	OSInfo       osInfo            `json:"os_info"`
	ClientTime   time.Time         `json:"client_time"`
	OperationID  string            `json:"operation_id" text:"identifier"`
	Variables    map[string]string `json:"variables"`
}

// The names of the operations that can be explained.
const (
	explainValidate = "validate"
	explainActivate = "activate"
	explainToken    = "token"
	explainConsume  = "consume"
	explainLease    = "lease"
	explainFile     = "file"
)

var operations = map[string]licensing.Operation{
	explainValidate: licensing.OperationUse,
	explainActivate: licensing.OperationActivate,
	explainToken:    licensing.OperationUse,
	explainConsume:  licensing.OperationUse,
	explainLease:    licensing.OperationLease,
	explainFile:     licensing.OperationFile,
}

// maxConsumed is how many counters one call may name.
const maxConsumed = 32

func (q *question) operation() string {
	if q.Operation == nil {
		return explainValidate
	}
	return *q.Operation
}

func (q *question) check() error {
	bad := apierr.Fields{}
	q.LicenseKey, q.LicenseID = unlessEmpty(q.LicenseKey), unlessEmpty(q.LicenseID)
	switch {
	case q.LicenseKey == nil && q.LicenseID == nil && q.UserToken == "":
		bad.Add("license_key", "license_key, license_id or user_token is required")
	case q.LicenseKey != nil && q.LicenseID != nil:
		bad.Add("license_id", "send either license_key or license_id")
	}
	if q.User != "" && q.UserToken != "" {
		bad.Add("user", "send either user or user_token")
	}
	if q.LicenseKey != nil {
		bad.Require("license_key", *q.LicenseKey)
		bad.MaxLen("license_key", *q.LicenseKey, maxText)
	}
	if strings.TrimSpace(q.HardwareID) == "" {
		bad.Add("hardware_id", "is required; GET /api/v1/admin/licenses/{license_id}/refusals lists the devices that "+
			"were refused")
	}
	bad.OneOf("operation", q.operation(), slices.Sorted(maps.Keys(operations))...)
	q.checkTexts(bad)
	licensing.ComponentsProblems(bad, "components", q.Components)
	licensing.VariablesProblems(bad, q.Variables)
	q.file().Problems(bad)
	wire.DevicePublicKey(bad, q.DevicePublicKey)
	if _, err := netip.ParseAddr(q.Address); q.Address != "" && err != nil {
		bad.Add("address", "must be an IP address")
	}
	if q.At != nil && (q.At.Year() < 2000 || q.At.Year() > 9000) {
		bad.Add("at", "must be in a year from 2000 to 9000; leave it out for now")
	}
	q.checkAmounts(bad)
	q.checkOperation(bad)
	return bad.Err()
}

// unlessEmpty takes empty text for absent, as the calls do that are explained.
func unlessEmpty(text *string) *string {
	if text != nil && *text == "" {
		return nil
	}
	return text
}

func (q *question) checkTexts(bad apierr.Fields) {
	for name, text := range map[string]string{
		"hardware_id": q.HardwareID, "device_name": q.DeviceName, "os_info.name": q.OSInfo.Name,
		"os_info.version": q.OSInfo.Version, "product": q.Product, "user": q.User, "app_version": q.AppVersion,
		"session_id": q.SessionID, "counter": q.Counter, "entitlement": q.Entitlement,
		"operation_id": q.OperationID, "address": q.Address, "lease_id": q.LeaseID, "user_token": q.UserToken,
	} {
		bad.MaxLen(name, text, maxText)
	}
	for name, list := range map[string][]string{
		"entitlements": q.Entitlements, "require_entitlements": q.RequireEntitlements,
	} {
		for _, code := range list {
			bad.MaxLen(name, code, maxText)
		}
	}
}

func (q *question) checkAmounts(bad apierr.Fields) {
	if len(q.Consume) > maxConsumed {
		bad.Add("consume", fmt.Sprintf("must have at most %d members", maxConsumed))
	}
	for name, amount := range q.Consume {
		checkAmount(bad, "consume."+name, amount)
	}
	if q.Amount != nil {
		checkAmount(bad, "amount", *q.Amount)
	}
}

func checkAmount(bad apierr.Fields, name string, amount int64) {
	if amount < -licensing.MaxCount || amount > licensing.MaxCount {
		bad.Add(name, fmt.Sprintf("must be a whole number up to %d", licensing.MaxCount))
	}
}

// checkOperation refuses members that would decide nothing, because the operation has none such.
func (q *question) checkOperation(bad apierr.Fields) {
	members := []struct {
		name  string
		given bool
		of    []string
	}{
		{"require_entitlements", len(q.RequireEntitlements) > 0, []string{explainValidate}},
		{"consume", len(q.Consume) > 0, []string{explainValidate}},
		{"counter", q.Counter != "", []string{explainConsume}},
		{"amount", q.Amount != nil, []string{explainConsume}},
		{"entitlement", q.Entitlement != "", []string{explainConsume, explainLease}},
		{"borrow_until", q.BorrowUntil != nil, []string{explainLease}},
		{"lease_id", q.LeaseID != "", []string{explainLease}},
		{"nonce", q.Nonce != "", []string{explainValidate, explainFile}},
		{"valid_hours", q.ValidHours != nil, []string{explainFile}},
		{"encrypt", q.Encrypt, []string{explainFile}},
		{"device_public_key", q.DevicePublicKey != "", []string{explainFile}},
	}
	for _, m := range members {
		if m.given && !slices.Contains(m.of, q.operation()) {
			bad.Add(m.name, "goes with operation "+strings.Join(m.of, " or "))
		}
	}
	if q.operation() == explainConsume {
		wire.CounterProblems(bad, q.Counter, q.Entitlement)
	}
	if q.LeaseID != "" && (q.LicenseID == nil || q.User+q.UserToken+q.Entitlement != "" || q.BorrowUntil != nil) {
		bad.Add("lease_id", "goes with license_id, hardware_id and address alone, which decide on a renewal")
	}
}

// file is the license file that the call asks for.
func (q *question) file() *licensefile.Request {
	return &licensefile.Request{Hours: q.ValidHours, Encrypt: q.Encrypt, Nonce: q.Nonce, ByMachine: true}
}

func (m *Manage) question(ctx context.Context, q *question) (licensing.Question, error) {
	asked := licensing.Question{
		Key:       q.LicenseKey,
		Operation: operations[q.operation()],
		Client: licensing.Client{
			HardwareID: q.HardwareID,
			Product:    q.Product,
			AppVersion: q.AppVersion,
			IP:         q.Address,
			IsVM:       q.IsVM,
		},
		User:  q.User,
		Facts: m.facts(q),
	}
	switch {
	case q.LeaseID != "":
		asked.Client = licensing.Client{HardwareID: q.HardwareID, IP: q.Address, Holder: true}
	case q.operation() != explainToken: // for which devices name no components
		asked.Client.Components = licensing.RealComponents(q.Components)
	}
	if q.LicenseID != nil {
		asked.LicenseID = canonicalID(*q.LicenseID)
	}
	if q.At != nil {
		asked.At = *q.At
	}
	return asked, m.signIn(ctx, q, &asked)
}

// signIn puts the user whom a user_token proves. One that proves nobody is the e-mail of nobody.
func (m *Manage) signIn(ctx context.Context, q *question, asked *licensing.Question) error {
	if q.UserToken == "" {
		return nil
	}
	u, err := m.SignIns.Tokens.Check(ctx, q.UserToken)
	if errors.Is(err, licensing.ErrCredentials) {
		asked.User = q.UserToken
		return nil
	}
	asked.Client.User = &licensing.SignedIn{User: u, LicenseID: asked.LicenseID}
	return err
}

// facts is what finds out about leases, counters and files for the operation, nil for nothing.
func (m *Manage) facts(q *question) func(context.Context, *licensing.Request) (*licensing.Condition, error) {
	switch q.operation() {
	case explainFile:
		return func(_ context.Context, r *licensing.Request) (*licensing.Condition, error) {
			return nil, q.file().Fits(r.License, r.User != nil || r.Enrollment != nil)
		}
	case explainLease:
		if q.LeaseID != "" {
			return func(ctx context.Context, r *licensing.Request) (*licensing.Condition, error) {
				return m.Leases.RenewalFacts(ctx, r, canonicalID(q.LeaseID))
			}
		}
		wanted := lease.Request{Client: licensing.Client{SessionID: q.SessionID}, Entitlement: q.Entitlement}
		if q.BorrowUntil != nil {
			wanted.BorrowUntil = endOf(*q.BorrowUntil)
		}
		return func(ctx context.Context, r *licensing.Request) (*licensing.Condition, error) {
			return nil, m.Leases.Facts(ctx, r, wanted)
		}
	case explainConsume, explainValidate:
		return func(ctx context.Context, r *licensing.Request) (*licensing.Condition, error) {
			return m.Counters.Facts(ctx, r, q.use())
		}
	}
	return nil
}

func (q *question) use() counter.Use {
	amount := int64(1)
	if q.Amount != nil {
		amount = *q.Amount
	}
	switch {
	case q.Entitlement != "":
		return counter.Use{Entitlement: q.Entitlement, Amount: amount, Member: "amount"}
	case q.Counter != "":
		return counter.Use{Amounts: map[string]int64{q.Counter: amount}, Member: "amount"}
	}
	return counter.Use{Amounts: q.Consume, Required: q.RequireEntitlements}
}
