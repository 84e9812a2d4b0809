package licensespring

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// maxText bounds identifiers and names, in characters.
const maxText = 255

// request is the members of all calls; each call looks at its own. Texts are as they were sent: signatures cover them.
type request struct {
	Product    string `json:"product" text:"identifier"`
	BundleCode string `json:"bundle_code" text:"identifier"`
	HardwareID string `json:"hardware_id"`
	LicenseKey string `json:"license_key"`
	Username   string `json:"username"`
	Password   string `json:"password"`
	// NewPassword is that of change_password.
	NewPassword string `json:"new_password"`
	// IDToken, Code and CustomerAccountCode are those of single sign-on.
	IDToken             string `json:"id_token"`
	Code                string `json:"code"`
	CustomerAccountCode string `json:"customer_account_code"`
	// LicenseID is the number of one of the licenses of a user.
	LicenseID int64 `json:"license_id"`

	OSVersion  string `json:"os_ver" text:"identifier"`
	Hostname   string `json:"hostname" text:"identifier"`
	OSHostname string `json:"os_hostname" text:"identifier"`
	AppVersion string `json:"app_ver" text:"identifier"`
	IsVM       bool   `json:"is_vm"`
	// SentVariables are texts, numbers and booleans, of which Variables has the text.
	SentVariables map[string]json.RawMessage `json:"variables"`
	Variables     map[string]string          `json:"-"`

	Feature       string `json:"feature" text:"identifier"`
	Consumptions  *int64 `json:"consumptions"`
	BorrowedUntil string `json:"borrowed_until" text:"identifier"`
	Env           string `json:"env" text:"identifier"`
	Channel       string `json:"channel" text:"identifier"`
	Version       string `json:"version" text:"identifier"`

	person `json:",inline"`
	// Customer is the e-mail address of one.
	Customer string `json:"customer" text:"identifier"`

	AllowOverages         *bool `json:"allow_overages"`
	IncludeExpired        bool  `json:"include_expired_features"`
	IncludeLatestVersion  bool  `json:"include_latest_version"`
	IncludeCustomFields   bool  `json:"include_custom_fields"`
	IncludeMetadataString bool  `json:"include_metadata_string"`
}

// flags and counts are the parameters of a query that are no texts.
var (
	flags = map[string]bool{
		"is_vm": true, "allow_overages": true, "include_expired_features": true, "include_latest_version": true,
		"include_custom_fields": true, "include_metadata_string": true,
	}
	counts = map[string]bool{"consumptions": true, "license_id": true}
)

// body reads the JSON of a call, whatever its media type says.
func body(c *gin.Context) (*request, error) {
	raw, err := httpx.Body(c)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, invalid("missing_parameters", "some parameters are missing in the request: the body is empty")
	}
	return decoded(raw)
}

// query reads the parameters of a call as if they were JSON.
func query(c *gin.Context) (*request, error) {
	given, err := url.ParseQuery(c.Request.URL.RawQuery)
	decodedQuery, badEscape := url.QueryUnescape(c.Request.URL.RawQuery)
	if err != nil || badEscape != nil || !utf8.ValidString(decodedQuery) {
		return nil, invalid("validation_error", "the query cannot be read: it must be UTF-8, percent-encoded")
	}
	members := map[string]any{}
	for name, values := range given {
		members[name] = values[0]
		if (flags[name] || counts[name]) && json.Valid([]byte(values[0])) {
			members[name] = json.RawMessage(values[0])
		}
	}
	raw, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	return decoded(raw)
}

func decoded(raw []byte) (*request, error) {
	if !json.Valid(raw) {
		return nil, invalid("invalid_json", "the body is not valid JSON")
	}
	r := &request{}
	if err := jsonbody.Decode(raw, r); err != nil {
		return nil, err
	}
	f := apierr.Fields{}
	texts := r.person.texts()
	maps.Copy(texts, map[string]string{
		"product": r.Product, "bundle_code": r.BundleCode, "hardware_id": r.HardwareID, "license_key": r.LicenseKey,
		"username": r.Username,
		"os_ver":   r.OSVersion, "hostname": r.Hostname, "os_hostname": r.OSHostname, "app_ver": r.AppVersion,
		"feature": r.Feature,
		"env":     r.Env, "channel": r.Channel, "version": r.Version, "password": r.Password,
		"new_password": r.NewPassword, "customer": r.Customer,
	})
	for name, text := range texts {
		f.MaxLen(name, text, maxText)
	}
	checkAmount(f, "consumptions", r.Consumptions)
	r.readVariables(f)
	return r, f.Err()
}

func (r *request) readVariables(f apierr.Fields) {
	if r.SentVariables == nil {
		return
	}
	r.Variables = make(map[string]string, len(r.SentVariables))
	for name, sent := range r.SentVariables {
		switch text := string(sent); {
		case strings.HasPrefix(text, `"`):
			_ = json.Unmarshal(sent, &text) // it was checked
			r.Variables[name] = text
		case text == "" || text == "null" || text[0] == '{' || text[0] == '[':
			f.Add("variables", "each value must be text, a number or a boolean")
		default:
			r.Variables[name] = text
		}
	}
	licensing.VariablesProblems(f, r.Variables)
}

func checkAmount(f apierr.Fields, name string, amount *int64) {
	if amount != nil && (*amount < -licensing.MaxCount || *amount > licensing.MaxCount) {
		f.Add(name, fmt.Sprintf("must be a whole number up to %d", licensing.MaxCount))
	}
}

// missing refuses a call that lacks a member.
func missing(name string) error {
	return invalid("missing_parameters", "some parameters are missing in the request: "+name)
}

// subject is what a call is about: the license, by which the client calls it, and the client.
type subject struct {
	*licensing.License
	product catalog.Product
	// licensed is the product whose license it is: product, or the bundle that it comes in.
	licensed catalog.Product
	// wholeBundle tells that the call is about all products of the bundle.
	wholeBundle bool
	key         string
	client      licensing.Client
	sent        *request
	reader      reader
	// user is nil for a call by a license key.
	user *user.User
}

// device makes a handler of one for the calls of devices, which read reads.
func (d *Dialect) device(
	read func(*gin.Context) (*request, error), handle func(*gin.Context, *subject) error,
) gin.HandlerFunc {
	return wrap(func(c *gin.Context) error {
		r, err := read(c)
		if err != nil {
			return err
		}
		s, err := d.identify(c, r)
		if err != nil {
			return err
		}
		return handle(c, s)
	})
}

// identify finds the license of a call of a device. Errors: those of the dialect, licensing.ErrNotFound.
func (d *Dialect) identify(c *gin.Context, r *request) (*subject, error) {
	if r.singleSignOn() {
		return nil, errSSO
	}
	product, licensed, err := d.productAndLicensed(c.Request.Context(), signerOf(c), r)
	if err != nil {
		return nil, err
	}
	r.Product = licensed.Code // which licenses and users are of
	s := &subject{
		product: product, licensed: licensed, key: jsonbody.Identifier(r.LicenseKey), client: r.client(c), sent: r,
		reader: readerOf(c),
	}
	switch {
	case s.client.HardwareID == "":
		return nil, errNoHardwareID
	case licensed.AuthorizationMethod == catalog.ByUser && r.Username == "":
		return nil, errUserRequired
	case licensed.AuthorizationMethod == catalog.ByUser:
		s.key = ""
		return s, d.identifyUser(c, s)
	case s.key == "":
		return nil, errKeyRequired
	}
	s.License, _, err = d.Seats.LicenseByKey(c.Request.Context(), s.key, &s.client)
	return s, err
}

// singleSignOn reports whether the call is by what is not offered.
func (r *request) singleSignOn() bool {
	return r.IDToken != "" || r.Code != "" || r.CustomerAccountCode != ""
}

// product is one that the integration is for.
func (d *Dialect) product(ctx context.Context, signer *integration.Signer, code string) (catalog.Product, error) {
	p, err := d.productNamed(ctx, code)
	if (err == nil || errors.Is(err, errDisabledProduct)) && !signer.Integration.Allows(p.Code) {
		err = errProductNotAllowed
	}
	return p, err
}

// productNamed is the product that has a code.
func (d *Dialect) productNamed(ctx context.Context, code string) (catalog.Product, error) {
	if code == "" {
		return catalog.Product{}, missing("product")
	}
	p, err := d.Products.Product(ctx, code)
	switch {
	case errors.Is(err, catalog.ErrProductNotFound):
		return p, errUnknownProduct
	case err == nil && !p.IsActive:
		err = errDisabledProduct
	}
	return p, err
}

// client is what the call says of the application and its device. The addresses that it says are not asked: rules look
// at the one that the call came from.
func (r *request) client(c *gin.Context) licensing.Client {
	return licensing.Client{
		HardwareID: jsonbody.Identifier(r.HardwareID),
		DeviceName: cmp.Or(r.Hostname, r.OSHostname),
		OSName:     r.OSVersion,
		AppVersion: r.AppVersion,
		IsVM:       r.IsVM,
		IP:         httpx.ClientIP(c),
		ViaProxy:   httpx.ViaProxy(c),
		Product:    r.Product,
	}
}
