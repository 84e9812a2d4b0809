package manage

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// question is the body of explain: a call that is to be explained, with whatever members that call has.
type question struct {
	LicenseKey *string `json:"license_key" text:"key"`
	LicenseID  *string `json:"license_id" text:"identifier"`
	// Operation is validate where it is left out.
	Operation   *string    `json:"operation"`
	HardwareID  string     `json:"hardware_id" text:"identifier"`
	Product     string     `json:"product" text:"identifier"`
	AppVersion  string     `json:"app_version" text:"identifier"`
	BorrowUntil *time.Time `json:"borrow_until" time:"end"`
	At          *time.Time `json:"at"`
	// What follows decides nothing yet; the calls that are explained have it.
	DeviceName  string    `json:"device_name" text:"identifier"`
	OSInfo      osInfo    `json:"os_info"`
	SessionID   string    `json:"session_id" text:"identifier"`
	ClientTime  time.Time `json:"client_time"`
	Entitlement string    `json:"entitlement" text:"identifier"`
	OperationID string    `json:"operation_id" text:"identifier"`
	Address     string    `json:"address" text:"identifier"`
}

// operations are those that can be explained.
var operations = map[string]licensing.Operation{
	"validate": licensing.OperationUse,
	"activate": licensing.OperationActivate,
	"token":    licensing.OperationUse,
	"lease":    licensing.OperationLease,
	"file":     licensing.OperationFile,
}

type explanationBody struct {
	Verdict   string       `json:"verdict"`
	ErrorCode *string      `json:"error_code"`
	Checks    []answerBody `json:"checks"`
	Device    *deviceBody  `json:"device"`
	License   *licenseBody `json:"license"`
}

type answerBody struct {
	Check    string  `json:"check"`
	Passed   *bool   `json:"passed"`
	Observed any     `json:"observed"`
	Limit    any     `json:"limit"`
	Reason   *string `json:"reason"`
	Remedy   *string `json:"remedy"`
}

// explain tells what a call would be answered, and why. Nothing is written, counted, cached or published.
func (m *Manage) explain(c *gin.Context) error {
	var in question
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	ctx := c.Request.Context()
	asked := in.question()
	e, err := m.Licenses.Explain(ctx, asked)
	if err == nil && e.License != nil && asked.Operation == licensing.OperationLease {
		if asked.Lease, err = m.leaseNeed(ctx, e.License, &in); err == nil {
			e, err = m.Licenses.Explain(ctx, asked)
		}
	}
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, newExplanationBody(&e))
	return nil
}

func (q *question) check() error {
	bad := apierr.Fields{}
	if (q.LicenseKey == nil) == (q.LicenseID == nil) {
		bad.Add("license_key", "send either license_key or license_id")
	}
	if q.LicenseKey != nil {
		bad.Require("license_key", *q.LicenseKey)
		bad.MaxLen("license_key", *q.LicenseKey, maxText)
	}
	bad.Require("hardware_id", q.HardwareID)
	bad.MaxLen("hardware_id", q.HardwareID, maxText)
	for name, text := range map[string]string{
		"device_name": q.DeviceName, "os_info.name": q.OSInfo.Name, "os_info.version": q.OSInfo.Version,
		"product": q.Product, "app_version": q.AppVersion, "session_id": q.SessionID, "entitlement": q.Entitlement,
		"operation_id": q.OperationID, "address": q.Address,
	} {
		bad.MaxLen(name, text, maxText)
	}
	if q.Operation != nil {
		bad.OneOf("operation", *q.Operation, "validate", "activate", "token", "lease", "file")
	}
	if q.At != nil && (q.At.Year() < 2000 || q.At.Year() > 9000) {
		bad.Add("at", "must be in a year from 2000 to 9000; leave it out for now")
	}
	return bad.Err()
}

func (q *question) question() licensing.Question {
	asked := licensing.Question{
		Key:        q.LicenseKey,
		Operation:  licensing.OperationUse,
		HardwareID: q.HardwareID,
		Product:    q.Product,
		AppVersion: q.AppVersion,
	}
	if q.Operation != nil {
		asked.Operation = operations[*q.Operation]
	}
	if q.LicenseID != nil {
		asked.LicenseID = *q.LicenseID
	}
	if q.At != nil {
		asked.At = *q.At
	}
	return asked
}

// maxLeasesRead is how many leases leaseNeed looks through for the one that the device has.
const maxLeasesRead = 1000

// leaseNeed is what the verdict on a lease looks at beside the license.
func (m *Manage) leaseNeed(ctx context.Context, l *licensing.License, q *question) (*licensing.LeaseNeed, error) {
	need := &licensing.LeaseNeed{Borrows: q.BorrowUntil != nil}
	if l.Floating == nil {
		return need, nil
	}
	leases, slots, err := m.Leases.Store.Leases(ctx, l.ID, 1, maxLeasesRead)
	if errors.Is(err, licensing.ErrNotFound) {
		return need, nil
	}
	need.Slots, need.InUse = l.Floating.Slots, slots.InUse
	for i := range leases {
		if leases[i].HardwareID == q.HardwareID && leases[i].SessionID == q.SessionID {
			need.Held = true
		} else if l.Floating.Overflow == licensing.OverflowEvictOldest && leases[i].BorrowedUntil.IsZero() {
			need.Evicts = true
		}
	}
	return need, err
}

func newExplanationBody(e *licensing.Explanation) explanationBody {
	body := explanationBody{Verdict: "allowed", Checks: []answerBody{}}
	if e.Refusal != nil {
		body.Verdict, body.ErrorCode = "refused", &e.Refusal.Code
	}
	for _, a := range e.Checks {
		body.Checks = append(body.Checks, answerBody{
			Check:    a.Check,
			Passed:   a.Passed,
			Observed: a.Observed,
			Limit:    a.Limit,
			Reason:   httpx.TextOrNull(a.Reason),
			Remedy:   httpx.TextOrNull(a.Remedy),
		})
	}
	if e.Device != nil {
		device := newDeviceBody(e.Device)
		body.Device = &device
	}
	if e.License != nil {
		license := newLicenseBody(e.License, e.At)
		body.License = &license
	}
	return body
}
