// Package peers is what auth asks its peer services.
package peers

import (
	"context"

	"connectrpc.com/connect"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/app"
	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
	"github.com/latchkey-dev/latchkey/services/auth/internal/credential"
)

// Devices asks the license service about devices.
type Devices struct {
	license licensev1connect.LicenseServiceClient
}

var _ credential.Devices = Devices{}

// NewDevices makes the client of the license service.
func NewDevices(c *app.Core) Devices {
	return Devices{app.NewClient(c, "license", licensev1connect.NewLicenseServiceClient)}
}

// CheckDevice implements credential.Devices.
func (d Devices) CheckDevice(
	ctx context.Context, from credential.Caller, of credential.Device,
) (credential.Standing, error) {
	res, err := d.license.CheckDevice(ctx, connect.NewRequest(&licensev1.CheckDeviceRequest{
		LicenseId: of.LicenseID, HardwareId: of.HardwareID, AppVersion: of.AppVersion, IsVm: of.IsVM,
		Product: from.Product, Address: from.IP, UserToken: &of.UserToken,
	}))
	return standing(res, err)
}

// CheckFamily implements credential.Devices.
func (d Devices) CheckFamily(ctx context.Context, f credential.Family, address string) (credential.Standing, error) {
	res, err := d.license.CheckDevice(ctx, connect.NewRequest(&licensev1.CheckDeviceRequest{
		LicenseId: f.LicenseID, HardwareId: f.HardwareID, LicenseVersion: proto.Int32(int32(f.LicenseVersion)),
		Address: address,
	}))
	return standing(res, err)
}

func standing(res *connect.Response[licensev1.CheckDeviceResponse], err error) (credential.Standing, error) {
	if err != nil {
		return credential.Standing{}, err
	}
	return credential.Standing{
		LicenseVersion: int(res.Msg.GetLicenseVersion()), UserCredentials: res.Msg.UserCredentials,
	}, nil
}
