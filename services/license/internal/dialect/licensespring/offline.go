package licensespring

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

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
	RequestID        string    `json:"request_id,omitzero"`
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

// offline makes a handler of one for requests for an operation that were carried by hand.
func (d *Dialect) offline(operation string, handle func(*gin.Context, *offlineCall) error) gin.HandlerFunc {
	return wrap(func(c *gin.Context) error {
		o, err := d.carried(c, operation)
		if err != nil {
			return err
		}
		return handle(c, o)
	})
}

// carried reads an offline request. Its own date may be of any time, because it is carried by hand.
func (d *Dialect) carried(c *gin.Context, operation string) (*offlineCall, error) {
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
		if o.sent.Product, err = d.productOfKey(c, &o.sent); err != nil {
			return nil, err
		}
	}
	s, err := d.identify(c, &o.sent)
	if err != nil {
		return nil, err
	}
	return &offlineCall{o, s, key}, nil
}

// productOfKey is the product of the license that a request without a product is about. A key of a product that the
// integration is not for is refused as one that nobody has.
func (d *Dialect) productOfKey(c *gin.Context, r *request) (string, error) {
	key, client := jsonbody.Identifier(r.LicenseKey), r.client(c)
	l, _, err := d.Seats.LicenseByKey(c.Request.Context(), key, &client)
	switch {
	case err != nil:
		return "", err
	case !signerOf(c).Integration.Allows(l.Product):
		return "", d.Seats.UseRefused(d.Clock.Now(), "", key, client, licensing.ErrNotFound)
	}
	return l.Product, nil
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
	if o.wholeBundle {
		operation += " of a bundle"
	}
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
func (o *offlineCall) signedName() string { return signedPrefix + hashed(o.signedText()) }

func hashed(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

// activateBundleOffline is activateOffline for all products of a bundle.
func (d *Dialect) activateBundleOffline(c *gin.Context, o *offlineCall) error {
	if err := o.requireBundle(signerOf(c)); err != nil {
		return err
	}
	return d.activateOffline(c, o)
}

// hasOfflineType refuses licenses that are not for use without a network.
func (o *offlineCall) hasOfflineType() error {
	if o.Floating != nil {
		return errOfflineFloating
	}
	if t := o.LicenseType(); !o.IsTrial && t != licensing.TypePerpetual && t != licensing.TypeConsumption {
		return errOfflineType
	}
	return nil
}

func (d *Dialect) activateOffline(c *gin.Context, o *offlineCall) error {
	if err := o.hasOfflineType(); err != nil {
		return err
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
		device, err := d.Seats.SeatOffline(ctx, o.ID, caller, offlineKID)
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

// bundleAnswer is the answer to an offline activation of a bundle. bundle_signature_v2 covers what stands before it.
type bundleAnswer struct {
	Licenses          []offlineSignatures `json:"licenses"`
	BundleSignatureV2 string              `json:"bundle_signature_v2,omitzero"`
}

// offlineAnswer is what the application keeps.
func (d *Dialect) offlineAnswer(
	ctx context.Context, o *offlineCall, key *integration.ResponseKey, device licensing.Device,
) ([]byte, error) {
	all, err := d.views(ctx, o.subject, key, device.ID)
	if err != nil {
		return nil, err
	}
	bundle := bundleAnswer{Licenses: make([]offlineSignatures, len(all))}
	for i, v := range all {
		if bundle.Licenses[i], err = o.answer(v, key, d.Clock.Now()); err != nil {
			return nil, err
		}
	}
	if !o.wholeBundle {
		return printed(bundle.Licenses[0]), nil
	}
	bundle.BundleSignatureV2, err = signed(key, printed(bundle))
	return printed(bundle), err
}

// answer is the part of the answer about one license.
func (o *offlineCall) answer(v view, key *integration.ResponseKey, now time.Time) (offlineSignatures, error) {
	body := offlineBody{
		licenseBody: v.licenseBody,
		Active:      true,
		DeviceID:    v.deviceID,
		Request:     offlineActivation,
		RequestID:   o.RequestID,
		HardwareID:  o.subject.sent.HardwareID,
		Date:        now.UTC().Format(http.TimeFormat),
	}
	body.OfflineSignature = sum(o.secret(o.key), o.flatText(body.Date))
	v2, err := signed(key, printed(body))
	return offlineSignatures{offlineBody: body, LicenseSignature: v.signature, LicenseSignatureV2: v2}, err
}
