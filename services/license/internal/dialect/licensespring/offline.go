package licensespring

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// forever is how long a perpetual license lets a machine run without the server, as far as seats and the revocation
// list have to know.
const forever = 100 * 365 * 24 * time.Hour

// offlineKID is what events name the key by that signs answers.
const offlineKID = integration.LicenseSpring

// offlineBody is the answer to an offline activation, which the application keeps as a file. license_signature_v2
// covers what stands before the two last members.
type offlineBody struct {
	licenseBody      `json:",inline"`
	Active           bool      `json:"active"`
	DeviceID         int64     `json:"device_id"`
	IsExpired        bool      `json:"is_expired"`
	InstallationFile *struct{} `json:"installation_file"`
	Request          string    `json:"request"`
	HardwareID       string    `json:"hardware_id"`
	Date             string    `json:"date"`
	OfflineSignature string    `json:"offline_signature"`
}

// offlineSignatures are the members that stand last.
type offlineSignatures struct {
	offlineBody        `json:",inline"`
	LicenseSignature   string `json:"license_signature"`
	LicenseSignatureV2 string `json:"license_signature_v2"`
}

// offlineCall is an offline request whose signature is good, and what it is about.
type offlineCall struct {
	*offlineRequest
	*subject
	key *integration.Key
}

// offline reads an offline request for an operation. Its own date may be of any time, because it is carried by hand.
func (d *Dialect) offline(c *gin.Context, operation string) (*offlineCall, error) {
	raw, err := httpx.Body(c)
	if err != nil {
		return nil, err
	}
	o, err := readOffline(contentType(c.Request), raw)
	if err != nil {
		return nil, d.Attempts.Refuse(c, err)
	}
	if err := o.asks(operation); err != nil {
		return nil, err
	}
	key, err := d.offlineKey(c, o)
	if err != nil {
		return nil, err
	}
	if o.sent.Product == "" {
		client := o.sent.client(c)
		l, _, err := d.Seats.LicenseByKey(c.Request.Context(), jsonbody.Identifier(o.sent.LicenseKey), &client)
		if err != nil {
			return nil, err
		}
		o.sent.Product = l.Product
	}
	s, err := d.identify(c, &o.sent)
	if err != nil {
		return nil, err
	}
	return &offlineCall{o, s, key}, nil
}

// offlineKey is the key that signed the request: one of the integration that brings it.
func (d *Dialect) offlineKey(c *gin.Context, o *offlineRequest) (*integration.Key, error) {
	find := d.Signers.ByClientID
	if o.APIKey != "" {
		find = d.Signers.ByAPIKey
	}
	signer, err := find(c.Request.Context(), o.keyID())
	switch {
	case err != nil:
		return nil, err
	case signer == nil || signer.Integration.ID != signerOf(c).Integration.ID:
		return nil, d.Attempts.Refuse(c, errAPIKey)
	case !o.signedBy(signer.Key):
		return nil, d.Attempts.Refuse(c, errSignature)
	case !signer.Key.Live(signer.Integration, d.Clock.Now()):
		return nil, d.Attempts.RefuseEnded(c, guard.Made(signer.Key.APIKeyHash), errRevoked.WithCause(secret.ErrEnded))
	}
	return signer.Key, nil
}

// once has a request answered once: who repeats it gets the first answer.
func (d *Dialect) once(
	ctx context.Context, o *offlineCall, operation string, answer func(context.Context) ([]byte, error),
) ([]byte, error) {
	for _, r := range o.named(operation) {
		next := answer
		answer = func(ctx context.Context) ([]byte, error) { return d.Offline.AnswerOffline(ctx, r, next) }
	}
	return answer(ctx)
}

// before is the answer that the request got before, nil for none; integration.ErrReused.
func (d *Dialect) before(ctx context.Context, o *offlineCall, operation string) (answer []byte, err error) {
	for _, r := range o.named(operation) {
		if answer, err = d.Offline.OfflineAnswer(ctx, r); err != nil || answer != nil {
			return answer, err
		}
	}
	return nil, nil
}

// named is the names by which the request is remembered: its id, and what is signed where that does not cover the id.
// Without the second, who has a file in the flat form could make another request of it.
func (o *offlineCall) named(operation string) (names []integration.OfflineRequest) {
	whole := fmt.Sprintf("%s\n%s\n%s", operation, o.flatText(o.Date), o.wrapped)
	if o.wrapped == nil || o.RequestID == "" {
		names = append(names, integration.OfflineRequest{LicenseID: o.ID, ID: o.signedName(), Hash: hashed(whole)})
	}
	if o.RequestID != "" {
		names = append(names, integration.OfflineRequest{LicenseID: o.ID, ID: o.RequestID, Hash: hashed(whole)})
	}
	return names
}

// signedName names the request by what its signature covers.
func (o *offlineCall) signedName() string { return "signed " + hashed(o.signedText()) }

func hashed(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

func (d *Dialect) activateOffline(c *gin.Context) error {
	o, err := d.offline(c, offlineActivation)
	if err != nil {
		return err
	}
	if o.Floating != nil {
		return errOfflineFloating
	}
	if t := o.LicenseType(); !o.IsTrial && t != licensing.TypePerpetual && t != licensing.TypeConsumption {
		return errOfflineType
	}
	ctx := c.Request.Context()
	// What waits for others is asked before the transaction begins.
	key, err := d.Responses.Key(ctx, integration.LicenseSpring)
	if err != nil {
		return err
	}
	if len(o.subject.sent.Variables) > 0 {
		o.client.Variables = o.subject.sent.Variables
	}
	caller, err := d.Seats.Caller(ctx, o.ID, &o.client)
	if err != nil {
		return err
	}
	if err := d.repeatable(ctx, o); err != nil {
		return err
	}
	raw, err := d.once(ctx, o, offlineActivation, func(ctx context.Context) ([]byte, error) {
		device, err := d.seatOffline(ctx, o, caller)
		if err != nil {
			return nil, err
		}
		return d.offlineAnswer(ctx, o, key, device)
	})
	if err != nil {
		d.Seats.ActivationRefused(d.Clock.Now(), o.ID, o.subject.key, o.client, err)
		return err
	}
	return answerWith(c, key, raw)
}

// repeatable refuses a repeated activation of a device that may not use the license any more.
func (d *Dialect) repeatable(ctx context.Context, o *offlineCall) error {
	before, err := d.before(ctx, o, offlineActivation)
	if err != nil || before == nil {
		return err
	}
	v, err := d.Seats.Validate(ctx, o.subject.key, o.client)
	if err == nil && !v.Valid {
		err = licensing.ErrNotActivated
	}
	return err
}

// seatOffline gives the device a seat, unless it has one, which is held as long as the license can be used.
func (d *Dialect) seatOffline(
	ctx context.Context, o *offlineCall, caller licensing.Caller,
) (device licensing.Device, err error) {
	err = d.Seats.Store.Change(ctx, o.ID, []string{o.client.HardwareID}, func(ch *licensing.Change) error {
		now := d.Clock.Now()
		seated, err := ch.SeatForFile(caller, now)
		if err != nil {
			return err
		}
		f := licensing.File{
			ID: seated.ID, KID: offlineKID, Devices: []*licensing.Device{seated}, IssuedAt: now,
			ExpiresAt: ch.License.UsableUntil(), Returnable: true,
		}
		if f.ExpiresAt.IsZero() {
			f.ExpiresAt = now.Add(forever)
		}
		ch.IssueFile(f, o.client, now)
		device = *seated
		return nil
	})
	return device, err
}

// offlineAnswer is what the application keeps.
func (d *Dialect) offlineAnswer(
	ctx context.Context, o *offlineCall, key *integration.ResponseKey, device licensing.Device,
) ([]byte, error) {
	b, f, err := d.licenseNow(ctx, o.subject, device.ID)
	if err != nil {
		return nil, err
	}
	body := offlineBody{
		licenseBody: b,
		Active:      true,
		DeviceID:    f.numbers.Device,
		Request:     "activation",
		HardwareID:  o.subject.sent.HardwareID,
		Date:        d.Clock.Now().UTC().Format(http.TimeFormat),
	}
	body.OfflineSignature = sum(o.secret(o.key), o.flatText(body.Date))
	answer := offlineSignatures{offlineBody: body}
	if answer.LicenseSignature, err = o.signature(key, b.ValidityPeriod); err != nil {
		return nil, err
	}
	if answer.LicenseSignatureV2, err = signed(key, printed(body)); err != nil {
		return nil, err
	}
	return printed(answer), nil
}

// deactivateOffline frees the seat of a device that says, in a file, that it has given up its activation, also on a
// license that has ended. What it consumed meanwhile is counted first, also beyond the limit: it has happened.
func (d *Dialect) deactivateOffline(c *gin.Context) error {
	o, err := d.offline(c, offlineDeactivation)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	before, err := d.before(ctx, o, offlineDeactivation)
	if err != nil {
		return err
	}
	if before != nil {
		return word(c, string(before))
	}
	if err := d.catchUp(ctx, o); err != nil {
		return err
	}
	raw, err := d.once(ctx, o, offlineDeactivation, func(ctx context.Context) ([]byte, error) {
		_, err := d.Seats.DeactivateReturned(ctx, o.subject.key, o.client)
		return []byte("license_deactivated"), err
	})
	if err != nil {
		return err
	}
	return word(c, string(raw))
}

// catchUp counts what a device consumed without the server, once for each request, and keeps its variables.
func (d *Dialect) catchUp(ctx context.Context, o *offlineCall) error {
	consume := func(what string, u counter.Use) error {
		u.OperationID, u.Happened = "offline "+o.signedName()+" "+what, true
		_, err := d.Counters.Consume(ctx, o.subject.key, o.client, u)
		return err
	}
	if t, n := mainCounter(o.License), o.subject.sent.Consumptions; t != nil && n != nil && *n != 0 {
		if err := consume("", counter.Use{Amounts: map[string]int64{t.Name: *n}}); err != nil {
			return err
		}
	}
	for _, f := range o.ProductFeatures {
		code := f.Code
		if code == "" {
			code = f.Feature
		}
		if f.Consumptions == nil || *f.Consumptions == 0 {
			continue
		}
		if err := consume(code, counter.Use{Entitlement: code, Amount: *f.Consumptions}); err != nil {
			return err
		}
	}
	if len(o.subject.sent.Variables) == 0 {
		return nil
	}
	_, err := d.Seats.AddVariables(ctx, o.subject.key, o.client, o.subject.sent.Variables)
	if err != nil && apierr.From(err).Kind.Status() >= http.StatusInternalServerError {
		return err
	}
	return nil // variables that are refused do not keep the seat
}
