package peers

import (
	"context"

	"connectrpc.com/connect"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	adminv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/admin/v1/adminv1connect"
)

// AdminPrefix begins the admin keys that admin makes: what a guard needs to know of them. One that is configured there
// may look otherwise.
const AdminPrefix = "ak_"

// errInvalidAdminKey refuses a key that cannot be asked about, or that was revoked.
var errInvalidAdminKey = apierr.New(apierr.Unauthenticated, errcode.InvalidAdminKey, "send a valid admin key")

// Admins finds out who holds an admin key by asking admin each time, so that a deleted one is refused at once.
type Admins struct {
	admin adminv1connect.AdminServiceClient
}

// NewAdmins makes the client of the admin service.
func NewAdmins(c *app.Core) Admins {
	return Admins{app.NewClient(c, "admin", adminv1connect.NewAdminServiceClient)}
}

// Authenticate tells whose an admin key is, with id, name and role. One that is not good is refused with
// INVALID_ADMIN_KEY, because of secret.ErrEnded where it was revoked. The caller's guard counts the failures: admin
// does not know the address that it came from. Only the hash of the key leaves the process.
func (a Admins) Authenticate(ctx context.Context, key string) (*audit.Actor, error) {
	if key == "" {
		return nil, errInvalidAdminKey
	}
	hash := secret.Hash(key)
	res, err := a.admin.LookUpAdminKey(ctx, connect.NewRequest(&adminv1.LookUpAdminKeyRequest{Sha256: hash[:]}))
	switch {
	case err != nil:
		return nil, err
	case res.Msg.GetEnded():
		return nil, errInvalidAdminKey.WithCause(secret.ErrEnded)
	}
	return &audit.Actor{Id: res.Msg.GetAdminKeyId(), Name: res.Msg.GetName(), Role: res.Msg.GetRole()}, nil
}
