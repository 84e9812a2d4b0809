package licensespring

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
)

// What a request is for.
const (
	offlineActivation   = "activation"
	offlineDeactivation = "deactivation"
)

// signedPrefix begins the names of requests without an id. No id that a request brings may begin so: it would be the
// name of another one.
const signedPrefix = "signed "

// maxParts bounds the parts of a form that are looked at for the file.
const maxParts = 16

// errNotReadable says what the documentation says of whatever is no request.
var errNotReadable = lacks("the request must be a JSON object in base64")

// lacks refuses an offline request, as the documentation words it.
func lacks(what string) *apierr.Error {
	return unauthenticated(errMissingParams.Code, "some parameters are missing in authorization: "+what)
}

// offlineRequest is a request that an application without a network wrote into a file.
type offlineRequest struct {
	sent request
	offlineMembers
	// wrapped is the text that is signed of a request in the newer form, nil for one in the flat form.
	wrapped []byte
}

type offlineMembers struct {
	// Request says what is asked for: activation, which may be left out, or deactivation.
	Request   string `json:"request"`
	RequestID string `json:"request_id"`
	Date      string `json:"date"`
	APIKey    string `json:"api_key"`
	ClientID  string `json:"client_id"`
	Signature string `json:"signature"`

	ProductFeatures []struct {
		Code         string `json:"code"`
		Feature      string `json:"feature"`
		Consumptions *int64 `json:"consumptions"`
	} `json:"product_features" max:"100"`
}

// readOffline reads the body of an offline call: base64, or a form with the file. Errors: errNotReadable,
// missing_parameters where there is nothing.
func readOffline(contentType string, raw []byte) (*offlineRequest, error) {
	text, err := offlineText(contentType, raw)
	if err != nil {
		return nil, err
	}
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !json.Valid(plain) {
		return nil, errNotReadable
	}
	var outer struct {
		Request   json.RawMessage `json:"request"`
		Signature string          `json:"signature"`
	}
	if err := json.Unmarshal(plain, &outer); err != nil {
		return nil, errNotReadable
	}
	o := &offlineRequest{}
	if bytes.HasPrefix(outer.Request, []byte("{")) {
		plain, o.wrapped = outer.Request, outer.Request
	}
	sent, err := decoded(plain)
	if err != nil {
		return nil, err
	}
	if err := jsonbody.Decode(plain, &o.offlineMembers); err != nil {
		return nil, err
	}
	o.sent = *sent
	if o.wrapped != nil {
		o.Signature = outer.Signature
	}
	return o, o.check()
}

func (o *offlineRequest) check() error {
	for _, text := range []string{o.RequestID, o.Date, o.APIKey, o.ClientID, o.Signature} {
		if len(text) > maxText {
			return errNotReadable
		}
	}
	f := apierr.Fields{}
	checkReported(f, "consumptions", o.sent.Consumptions)
	for i := range o.ProductFeatures {
		checkReported(f, "product_features", o.ProductFeatures[i].Consumptions)
	}
	if err := f.Err(); err != nil {
		return err
	}
	if strings.HasPrefix(o.RequestID, signedPrefix) {
		return lacks("request_id must not begin with " + signedPrefix)
	}
	return o.complete()
}

// complete refuses a request that lacks what every one has.
func (o *offlineRequest) complete() error {
	var absent []string
	for _, p := range [][2]string{
		{"license_key", jsonbody.Identifier(o.id())}, {"hardware_id", jsonbody.Identifier(o.sent.HardwareID)},
		{"date", o.Date}, {"api_key", o.keyID()}, {"signature", o.Signature},
	} {
		if p[1] == "" {
			absent = append(absent, p[0])
		}
	}
	if len(absent) > 0 {
		return lacks(strings.Join(absent, ", "))
	}
	return nil
}

// checkReported is checkAmount for what was consumed without the server, which gives nothing back.
func checkReported(f apierr.Fields, name string, amount *int64) {
	if checkAmount(f, name, amount); amount != nil && *amount < 0 {
		f.Add(name, "must not be negative where a device leaves")
	}
}

// asks refuses a request for another operation: one file must not do for both.
func (o *offlineRequest) asks(operation string) error {
	if o.Request == operation || o.Request == "" && operation == offlineActivation {
		return nil
	}
	return apierr.InvalidField("request", fmt.Sprintf("must be %q", operation))
}

// offlineText is the base64 of a call, without blanks around it.
func offlineText(contentType string, raw []byte) (string, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err == nil && media == "multipart/form-data" {
		if raw, err = formFile(params["boundary"], raw); err != nil {
			return "", invalid("missing_parameters", "some parameters are missing in the request: file")
		}
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", invalid("missing_parameters", "some parameters are missing in the request: there is no body")
	}
	return text, nil
}

// errNoFile says that a form has no file.
var errNoFile = errors.New("no part is named file")

func formFile(boundary string, raw []byte) ([]byte, error) {
	if boundary == "" {
		return nil, errNoFile
	}
	form := multipart.NewReader(bytes.NewReader(raw), boundary)
	for range maxParts {
		part, err := form.NextRawPart()
		if err != nil {
			return nil, errNoFile
		}
		if part.FormName() == "file" {
			return io.ReadAll(part)
		}
	}
	return nil, errNoFile
}

// id is how the request names the license.
func (o *offlineRequest) id() string {
	if o.sent.LicenseKey != "" {
		return o.sent.LicenseKey
	}
	return o.sent.Username
}

// keyID is how the request names the key that signs it.
func (o *offlineRequest) keyID() string {
	if o.APIKey != "" {
		return o.APIKey
	}
	return o.ClientID
}

// flatText is what a request in the flat form, and each answer, is signed over; date is that of the one or the other.
func (o *offlineRequest) flatText(date string) string {
	return strings.Join([]string{signedDate(date), o.id(), o.sent.HardwareID, o.keyID()}, "\n")
}

// signedText is what the signature of the request covers. In the flat form that is not the whole request.
func (o *offlineRequest) signedText() string {
	if o.wrapped != nil {
		return string(o.wrapped)
	}
	return o.flatText(o.Date)
}

// signedBy reports whether the request was signed with a key.
func (o *offlineRequest) signedBy(k *integration.Key) bool {
	text := o.signedText()
	good := isSum(o.secret(k), text, o.Signature)
	if o.wrapped != nil && o.APIKey == "" { // some clients sign these with the id
		good = isSum(k.ClientID, text, o.Signature) || good
	}
	return good
}

// secret is the secret that goes with keyID.
func (o *offlineRequest) secret(k *integration.Key) string {
	if o.APIKey != "" {
		return k.SharedKey
	}
	return k.ClientSecret
}

// contentType is that of a request; of two the first.
func contentType(r *http.Request) string { return r.Header.Get("Content-Type") }
