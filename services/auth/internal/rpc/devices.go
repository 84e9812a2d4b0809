package rpc

import (
	"context"

	"connectrpc.com/connect"

	licensev1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1"
	"github.com/latchkey-dev/latchkey/proto/gen/latchkey/license/v1/licensev1connect"
)

// Devices asks the license service about devices.
type Devices struct {
	License licensev1connect.LicenseServiceClient
}

// CheckDevice implements credential.Devices.
func (d Devices) CheckDevice(ctx context.Context, licenseID, hardwareID string) error {
	_, err := d.License.CheckDevice(ctx, connect.NewRequest(&licensev1.CheckDeviceRequest{LicenseId: licenseID, HardwareId: hardwareID}))
	return err
}
