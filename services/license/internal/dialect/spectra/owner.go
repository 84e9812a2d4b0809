package spectra

import (
	"errors"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

const (
	// ownerRole is the role of admin keys that may license this installation.
	ownerRole = "owner"
	// maxToken is the longest admin key, in bytes.
	maxToken = 512
)

var (
	errNoToken = apierr.New(apierr.Unauthenticated, errcode.InvalidAdminKey,
		`send an owner's admin key once, in the header "Authorization: Token <admin key>"`)
	errNotOwner = apierr.New(apierr.Forbidden, errcode.RoleNotAllowed,
		"the admin key does not have the role owner")
)

// requireOwner lets requests through that have the admin key of an owner.
func (d *Dialect) requireOwner(c *gin.Context) error {
	by, err := d.authenticate(c)
	switch {
	case err != nil:
		return err
	case by.GetRole() != ownerRole:
		return errNotOwner.With("required", ownerRole).With("role", by.GetRole())
	}
	by.Ip, by.RequestId = httpx.ClientIP(c), httpx.RequestID(c.Request.Context())
	httpx.SetCaller(c, by)
	return nil
}

func (d *Dialect) authenticate(c *gin.Context) (by *audit.Actor, err error) {
	key, ok := token(c.Request.Header["Authorization"])
	if !ok {
		return nil, d.Attempts.Refuse(c, errNoToken)
	}
	err = d.Attempts.Try(c, guard.Of(c, d.AdminPrefix, key), func() error {
		by, err = d.Admins.Authenticate(c.Request.Context(), key)
		if e := (*apierr.Error)(nil); errors.As(err, &e) && e.Kind == apierr.Unauthenticated {
			return errNoToken.WithCause(err) // its header is another one than admin's
		}
		return err
	})
	return by, err
}

// owner is who made a request that was let through.
func owner(c *gin.Context) *audit.Actor {
	by, _ := httpx.Caller(c).(*audit.Actor)
	return by
}

// token is the key of the headers Authorization: there must be one, with the scheme Token in any case.
func token(headers []string) (key string, ok bool) {
	if len(headers) != 1 || len(headers[0]) > maxToken {
		return "", false
	}
	scheme, key, _ := strings.Cut(strings.TrimSpace(headers[0]), " ")
	key = strings.TrimSpace(key)
	return key, strings.EqualFold(scheme, "Token") && key != "" && !strings.ContainsFunc(key, notGraphic)
}

// notGraphic tells blanks and what is no visible character of ASCII.
func notGraphic(r rune) bool { return r <= ' ' || r > '~' }
