// Package rpc answers peer services: it translates between the contract and the use cases, nothing else.
package rpc

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// Callers says which service may ask what.
var Callers = rpc.Callers{
	licensev1connect.LicenseServiceCheckDeviceProcedure:   {"auth"},
	licensev1connect.LicenseServiceCountLicensesProcedure: {"admin"},
}

// Deps is what the handler works with.
type Deps struct {
	Seats *licensing.Seats
	Reads licensing.Reads
	// UserTokens prove users who have signed in.
	UserTokens *user.Tokens
	Clock      clock.Clock
	// Admit, when not nil, refuses to serve licenses while the installation itself is not licensed.
	Admit func(context.Context) error
}

type server struct{ Deps }

// NewHandler returns the path and the handler of LicenseService.
func NewHandler(d Deps, opts ...connect.HandlerOption) (string, http.Handler) {
	return licensev1connect.NewLicenseServiceHandler(server{d}, opts...)
}

// CheckDevice implements the contract.
func (s server) CheckDevice(
	ctx context.Context, req *connect.Request[licensev1.CheckDeviceRequest],
) (*connect.Response[licensev1.CheckDeviceResponse], error) {
	c := client(req.Msg)
	seat, err := s.check(ctx, req.Msg, &c)
	if err != nil {
		return nil, wire.Refusal(err)
	}
	return connect.NewResponse(&licensev1.CheckDeviceResponse{
		ExpiresAt: event.Timestamp(seat.License.ExpiresAt), LicenseVersion: int32(seat.LicenseVersion()),
		UserCredentials: credentialsOf(c.User, seat),
	}), nil
}

func client(m *licensev1.CheckDeviceRequest) licensing.Client {
	return licensing.Client{
		HardwareID:   m.GetHardwareId(),
		AppVersion:   m.GetAppVersion(),
		IsVM:         m.GetIsVm(),
		IP:           m.GetAddress(),
		BoundProduct: m.GetProduct(),
	}
}

// check is the seat of the client. It puts down the user who has it, if people sign in to use the license.
func (s server) check(
	ctx context.Context, m *licensev1.CheckDeviceRequest, c *licensing.Client,
) (licensing.Seat, error) {
	if s.Admit != nil {
		if err := s.Admit(ctx); err != nil {
			return licensing.Seat{}, err
		}
	}
	if m.LicenseVersion == nil {
		c.Holder = m.UserToken == nil // an earlier auth asks: that the device has its seat was enough
		var err error
		if c.User, err = s.signedIn(ctx, m); err != nil {
			return licensing.Seat{}, err
		}
		return s.Seats.CheckDevice(ctx, m.GetLicenseId(), *c)
	}
	return s.Seats.CheckHolder(ctx, licensing.Holder{
		LicenseID: m.GetLicenseId(), HardwareID: m.GetHardwareId(), LicenseVersion: int(m.GetLicenseVersion()),
	}, c)
}

// credentialsOf is the number of the credentials of the user who calls, nil where that is not the one who has the seat.
func credentialsOf(u *licensing.SignedIn, seat licensing.Seat) *int64 {
	if u == nil || u.ID != seat.Device.TakenBy().UserID {
		return nil
	}
	return proto.Int64(int64(u.Credentials))
}

// signedIn is the user whom a request proves, nil for nobody.
func (s server) signedIn(ctx context.Context, m *licensev1.CheckDeviceRequest) (*licensing.SignedIn, error) {
	if m.GetUserToken() == "" {
		return nil, nil
	}
	u, err := s.UserTokens.Check(ctx, m.GetUserToken())
	return &licensing.SignedIn{User: u, LicenseID: m.GetLicenseId()}, err
}

// CountLicenses implements the contract.
func (s server) CountLicenses(
	ctx context.Context, _ *connect.Request[licensev1.CountLicensesRequest],
) (*connect.Response[licensev1.CountLicensesResponse], error) {
	n, err := s.Reads.Count(ctx, s.Clock.Now())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&licensev1.CountLicensesResponse{
		Total:           int32(n.Total),
		Active:          int32(n.Active),
		Inactive:        int32(n.Inactive),
		Expired:         int32(n.Expired),
		InGrace:         int32(n.InGrace),
		Suspended:       int32(n.Suspended),
		NotStarted:      int32(n.NotStarted),
		Test:            int32(n.Test),
		Expiring_30Days: int32(n.Expiring30Days),
		ActiveDevices:   int32(n.ActiveDevices),
	}), nil
}
