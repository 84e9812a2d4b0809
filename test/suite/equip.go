//go:build unix

package suite

import (
	"context"
	"path/filepath"

	"github.com/latchkey-dev/latchkey/services/standalone/client"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// equip makes what every user of the suite wants: an API key without limits and a license. It asks the public API for
// them, as an owner would.
func (s *Suite) equip(ctx context.Context) error {
	if s.options.Embedded {
		// The file comes last: the process writes it with the help of its own services, once they are ready.
		latchkey := s.Process("latchkey")
		err := latchkey.running.Await(ctx, func(context.Context) error {
			return credentials.ReadJSON(filepath.Join(s.dataDir(), credentials.File), &s.Credentials)
		})
		if err != nil {
			return err
		}
	}
	c := client.Client{AuthURL: s.AuthURL, AdminURL: s.AdminURL, AdminSecret: s.AdminSecret, AdminAPIKey: s.AdminAPIKey}
	key, err := c.CreateAPIKey(ctx, client.APIKeyRequest{
		ClientName: "suite", AllowedEndpoints: []string{"*"}, RateLimit: &client.RateLimit{},
	})
	if err != nil {
		return err
	}
	s.APIKey = key
	license, err := c.CreateLicense(ctx, client.LicenseRequest{
		CustomerID: "suite",
		MaxDevices: 5,
		Features:   []string{"pro"},
	})
	if err != nil {
		return err
	}
	s.LicenseID, s.LicenseKey = license.LicenseID, license.LicenseKey
	return nil
}
