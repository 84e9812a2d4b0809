package licensespring

import (
	"crypto/hmac"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
)

const (
	// tokenPath is where clients exchange their credentials for a token, below Path.
	tokenPath = "/oauth/token"
	// tokenLife is how long a token is good.
	tokenLife = 480 * time.Second
	// clientCredentials is the one login_type and grant_type that is served.
	clientCredentials = "client_credentials"
)

// The refusals of OAuth, by the codes of RFC 6749 or those that the clients know.
var (
	errClient = unauthenticated("invalid_client",
		"no integration has this client_id with this client_secret; send both in the body, or by HTTP Basic")
	errClientRevoked  = unauthenticated("unauthorized_client", "these credentials were revoked or replaced")
	errGrantType      = invalid("unsupported_grant_type", "the grant_type must be client_credentials")
	errTokenRequest   = invalid("invalid_request", "grant_type, client_id and client_secret are required, as a form")
	errTokenMalformed = unauthenticated("oauth_token_malformed", "the bearer token was not issued by this server")
	errTokenExpired   = unauthenticated("oauth_token_expired", "the bearer token has expired; get another one")
	errSSO            = invalid("sso_not_supported",
		"single sign-on is not offered; use license_key, or username and password")
)

// oauthStatuses are the statuses of the refusals that have the form of RFC 6749, by their codes.
var oauthStatuses = map[string]int{
	errClient.Code: http.StatusUnauthorized, errClientRevoked.Code: http.StatusUnauthorized,
	errGrantType.Code: http.StatusBadRequest, errTokenRequest.Code: http.StatusBadRequest,
}

// oauthURL tells where to get tokens.
func (d *Dialect) oauthURL(c *gin.Context) error {
	loginType, err := httpx.QueryIdentifier(c, "login_type", maxText)
	switch {
	case err != nil:
		return err
	case loginType == "":
		return missing("login_type")
	case c.Request.Host == "": // of HTTP/1.0
		return invalid(errMissingHeaders.Code, "some headers are missing: Host is required")
	case loginType != clientCredentials:
		return errSSO.WithMessagef("the login_type must be client_credentials")
	}
	httpx.WriteJSON(c, http.StatusOK, printed(struct {
		URL       string `json:"url"`
		LoginType string `json:"login_type"`
	}{baseURL(c) + Path + tokenPath, loginType}))
	return nil
}

// baseURL is how the client reaches us.
func baseURL(c *gin.Context) string {
	scheme := "http"
	if c.Request.TLS != nil || httpx.ViaProxy(c) && c.GetHeader("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + c.Request.Host
}

// ssoURL refuses for everybody.
func ssoURL(*gin.Context) error { return errSSO }

// token gives clients who prove their credentials a token.
func (d *Dialect) token(c *gin.Context) error {
	id, clientSecret, err := clientOf(c)
	if err != nil {
		return err
	}
	var signer *integration.Signer
	err = d.Attempts.Try(c, guard.Of(c, "", clientSecret), func() error {
		signer, err = d.client(c, id, clientSecret)
		return err
	})
	if err != nil {
		return err
	}
	if d.spend(c, signer); c.IsAborted() {
		return nil
	}
	c.Header("Cache-Control", "no-store")
	httpx.WriteJSON(c, http.StatusOK, printed(struct {
		AccessToken      string `json:"access_token"`
		ExpiresIn        int    `json:"expires_in"`
		RefreshExpiresIn int    `json:"refresh_expires_in"`
		TokenType        string `json:"token_type"`
		NotBeforePolicy  int    `json:"not-before-policy"`
		Scope            string `json:"scope"`
	}{
		AccessToken: newToken(signer.Key, d.Clock.Now().Add(tokenLife)),
		ExpiresIn:   int(tokenLife.Seconds()),
		TokenType:   "Bearer",
		Scope:       "profile email",
	}))
	return nil
}

// clientOf reads the credentials of a call for a token.
func clientOf(c *gin.Context) (id, clientSecret string, err error) {
	raw, err := httpx.Body(c)
	if err != nil {
		return "", "", err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return "", "", errTokenRequest
	}
	for name, values := range form {
		if len(values) > 1 {
			return "", "", errTokenRequest.WithMessagef("send %s once", jsonbody.Shorten(name))
		}
	}
	id, clientSecret = form.Get("client_id"), form.Get("client_secret")
	if user, password, ok := c.Request.BasicAuth(); ok {
		if clientSecret != "" {
			return "", "", errTokenRequest.WithMessagef("send the client_secret once")
		}
		id, clientSecret = user, password
	}
	switch {
	case form.Get("grant_type") == "" || id == "" || clientSecret == "":
		return "", "", errTokenRequest
	case form.Get("grant_type") != clientCredentials:
		return "", "", errGrantType
	}
	return id, clientSecret, nil
}

// client is the key whose credentials these are.
func (d *Dialect) client(c *gin.Context, id, clientSecret string) (*integration.Signer, error) {
	signer, err := d.Signers.ByClientID(c.Request.Context(), id)
	switch {
	case err != nil:
		return nil, err
	case signer == nil || !hmac.Equal([]byte(signer.Key.ClientSecret), []byte(clientSecret)):
		return nil, errClient
	case !signer.Key.Live(signer.Integration, d.Clock.Now()):
		return nil, errClientRevoked.WithCause(secret.ErrEnded)
	}
	return signer, nil
}

// newToken is a token of a key. Nothing is kept of it: the secret of the key proves it, and it ends with the key.
func newToken(k *integration.Key, until time.Time) string {
	claims := k.ClientID + "." + strconv.FormatInt(until.Unix(), 10)
	return base64.RawURLEncoding.EncodeToString([]byte(claims + "." + tokenSum(k, claims)))
}

// tokenSum is over a text that no signature of a request or an answer is over.
func tokenSum(k *integration.Key, claims string) string {
	return sum(k.ClientSecret, "oauth token\n"+claims)
}

// bearer finds whose token a call has. As with signatures, a good one is never refused for the failures of others at
// the same address.
func (d *Dialect) bearer(c *gin.Context, text string) (*integration.Signer, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	claims, given, ok := cutLast(string(raw))
	id, end, both := cutLast(claims)
	until, badNumber := strconv.ParseInt(end, 10, 64)
	if err != nil || !ok || !both || badNumber != nil {
		return nil, d.Attempts.Refuse(c, errTokenMalformed)
	}
	signer, err := d.Signers.ByClientID(c.Request.Context(), id)
	if err != nil {
		return nil, err
	}
	now := d.Clock.Now()
	switch {
	case signer == nil || !hmac.Equal([]byte(tokenSum(signer.Key, claims)), []byte(given)):
		return nil, d.Attempts.Refuse(c, errTokenMalformed)
	case !signer.Key.Live(signer.Integration, now):
		return nil, d.Attempts.RefuseEnded(c, guard.Made(secret.Hash(text)), errRevoked.WithCause(secret.ErrEnded))
	case now.Unix() >= until:
		return nil, d.Attempts.RefuseEnded(c, guard.Made(secret.Hash(text)), errTokenExpired.WithCause(secret.ErrEnded))
	}
	return signer, nil
}

// cutLast cuts a text at its last dot.
func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexByte(text, '.')
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}
