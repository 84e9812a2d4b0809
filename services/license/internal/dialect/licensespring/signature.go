package licensespring

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
)

const (
	// dateWindow is how far the Date of a call may be from our time. Within it a call may be repeated; beyond it the
	// answer is 400 date_header_diff (errDateDiff in errors.go).
	dateWindow = 15 * time.Minute
	// maxAuthorization and maxDate bound what is looked at before the caller is known, in bytes.
	maxAuthorization = 4 << 10
	maxDate          = 64
)

// admits lets calls through that an integration signed, as often as its limits allow; changes says that they may change
// something, which read-only integrations may not.
func (d *Dialect) admits(changes bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		signer, err := d.signer(c)
		if err != nil {
			httpx.WriteError(c, err)
			return
		}
		httpx.SetCaller(c, signer)
		if changes && signer.Integration.ReadOnly {
			httpx.WriteError(c, errReadOnly)
			return
		}
		d.spend(c, signer)
	}
}

// spend counts a call of an integration, or refuses it.
func (d *Dialect) spend(c *gin.Context, signer *integration.Signer) {
	bucket := "integration|" + signer.Integration.ID
	if signer.Integration.Per == integration.PerAddress {
		bucket += "|" + httpx.ClientNetwork(c)
	}
	apikey.Spend(c, d.Limiter, bucket, signer.Integration.RateLimit)
}

// signerOf is who signed a call that was admitted.
func signerOf(c *gin.Context) *integration.Signer { return httpx.Caller(c).(*integration.Signer) }

// signer finds who signed a call, or has a token. A signature proves itself, so good ones are never refused for the
// failures of others at the same address.
func (d *Dialect) signer(c *gin.Context) (*integration.Signer, error) {
	headers := c.Request.Header["Authorization"]
	if len(headers) == 1 && len(headers[0]) <= maxAuthorization {
		if scheme, text, _ := strings.Cut(headers[0], " "); strings.EqualFold(scheme, "Bearer") {
			return d.bearer(c, strings.TrimSpace(text))
		}
	}
	a, err := readAuthorization(headers, c.Request.Header["Date"])
	if err != nil {
		return nil, d.Attempts.Refuse(c, err)
	}
	now := d.Clock.Now()
	if err := checkDate(a.date, now); err != nil {
		return nil, err // a wrong clock is no guess, and reading the date is all that it costs
	}
	signer, err := d.Signers.ByAPIKey(c.Request.Context(), a.apiKey)
	if err != nil {
		return nil, err
	}
	shared := "" // an unknown key costs as much as a wrong signature
	if signer != nil {
		shared = signer.Key.SharedKey
	}
	good := isSum(shared, signedDate(a.date), a.signature)
	switch {
	case signer == nil:
		return nil, d.Attempts.Refuse(c, errAPIKey)
	case !good:
		return nil, d.Attempts.Refuse(c, errSignature)
	case !signer.Key.Live(signer.Integration, now):
		return nil, d.Attempts.RefuseEnded(c, guard.Made(signer.Key.APIKeyHash), errRevoked.WithCause(secret.ErrEnded))
	}
	return signer, nil
}

// authorization is what a call says of who signed it.
type authorization struct {
	apiKey, signature, date string
}

// readAuthorization reads the headers as they were sent.
func readAuthorization(headers, dates []string) (authorization, error) {
	switch {
	case len(headers) == 0 || len(dates) == 0 || headers[0] == "" || dates[0] == "":
		return authorization{}, errMissingHeaders
	case len(headers) > 1 || len(dates) > 1 || len(headers[0]) > maxAuthorization || len(dates[0]) > maxDate:
		return authorization{}, errInvalidHeaders
	}
	given, ok := parameters(headers[0])
	if !ok {
		return authorization{}, errInvalidHeaders
	}
	for _, name := range []string{"algorithm", "headers", "signature", "apikey"} {
		if given[name] == "" {
			return authorization{}, errMissingParams
		}
	}
	switch {
	case !strings.EqualFold(given["algorithm"], "hmac-sha256"):
		return authorization{}, errHMACRequired
	case !strings.EqualFold(given["headers"], "date"):
		return authorization{}, errInvalidHeaders.WithMessagef("the signature must cover the header date alone")
	}
	return authorization{apiKey: given["apikey"], signature: given["signature"], date: dates[0]}, nil
}

// parameters reads name="value" pairs with commas between them, each name once and in any case.
func parameters(header string) (given map[string]string, ok bool) {
	given = map[string]string{}
	for rest := strings.TrimSpace(header); rest != ""; {
		name, after, found := strings.Cut(rest, `="`)
		value, after, closed := strings.Cut(after, `"`)
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := given[name]; !found || !closed || twice || !isName(name) {
			return nil, false
		}
		given[name] = value
		rest = strings.TrimSpace(after)
		if rest == "" {
			break
		}
		if rest, found = strings.CutPrefix(rest, ","); !found {
			return nil, false
		}
		rest = strings.TrimSpace(rest)
	}
	return given, len(given) > 0
}

func isName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_-") == ""
}

// checkDate wants a date of RFC 7231 near now; the day may have one digit.
func checkDate(date string, now time.Time) error {
	at, err := time.Parse("Mon, 2 Jan 2006 15:04:05 GMT", date)
	if err != nil {
		return errDateForm
	}
	if diff := now.Sub(at).Abs(); diff > dateWindow {
		return errDateDiff
	}
	return nil
}

// sum is HMAC-SHA256 of a text, in base64.
func sum(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// isSum compares in a time that does not tell how much of the signature is right.
func isSum(key, text, signature string) bool {
	return hmac.Equal([]byte(sum(key, text)), []byte(signature))
}

// signedDate is what the signature of a call covers: the Date header as it was sent.
func signedDate(date string) string { return "licenseSpring\ndate: " + date }
