package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"

	"github.com/latchkey-dev/latchkey/services/standalone/internal/client"
	"github.com/latchkey-dev/latchkey/services/standalone/internal/credentials"
)

// prepareCredentials brings credentials.json up to date and returns its content. The demo key and the demo license are made
// when there are none, or when the license is not in the database: then it is another database than last time.
func prepareCredentials(ctx context.Context, d *dataDir, public http.RoundTripper, urls map[string]string) (credentials.Credentials, error) {
	var before credentials.Credentials
	if err := credentials.ReadJSON(d.file(credentials.File), &before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return before, err
	}
	c := before
	c.AdminSecret, c.AdminAPIKey = d.secrets.AdminSecret, d.secrets.AdminAPIKey
	c.AuthURL, c.LicenseURL, c.AnalyticsURL, c.AdminURL = urls["auth"], urls["license"], urls["analytics"], urls["admin"]
	owner := client.Client{
		AuthURL: "http://auth", AdminURL: "http://admin", AdminSecret: c.AdminSecret, AdminAPIKey: c.AdminAPIKey, HTTP: public,
	}
	if err := makeDemo(ctx, owner, &c); err != nil {
		return c, fmt.Errorf("make the demo license: %w", err)
	}
	if c == before {
		return c, nil
	}
	return c, credentials.WriteJSON(d.file(credentials.File), c)
}

func makeDemo(ctx context.Context, owner client.Client, c *credentials.Credentials) error {
	if c.LicenseID != "" {
		if known, err := owner.HasLicense(ctx, c.LicenseID); known || err != nil {
			return err
		}
	}
	license, err := owner.CreateLicense(ctx, client.LicenseRequest{CustomerID: "demo", MaxDevices: 5, Features: []string{"demo"}})
	if err != nil {
		return err
	}
	c.LicenseID, c.LicenseKey = license.LicenseID, license.LicenseKey
	c.APIKey, err = owner.CreateAPIKey(ctx, client.APIKeyRequest{ClientName: "demo", AllowedEndpoints: []string{"*"}})
	return err
}

const greeting = `
Latchkey is running. Ctrl-C stops it.

    auth       %[1]s   %[1]s/docs
    license    %[2]s   %[2]s/docs
    analytics  %[3]s   %[3]s/docs
    admin      %[4]s   %[4]s/docs

Activate the demo license, then validate it:

%[5]s
%[6]s
All keys and addresses: %[7]s
`

// welcome says where everything is. It shows the demo key and the demo license, and no other secret.
func welcome(out io.Writer, dir string, c credentials.Credentials) {
	fmt.Fprintf(out, greeting, c.AuthURL, c.LicenseURL, c.AnalyticsURL, c.AdminURL,
		curl(c, "activate"), curl(c, "validate"), filepath.Join(dir, credentials.File))
}

// curl is a line to paste that asks the license service with the demo key.
func curl(c credentials.Credentials, endpoint string) string {
	return fmt.Sprintf(`    curl %s/api/v1/license/%s \
      -H 'X-API-Key: %s' -H 'Content-Type: application/json' \
      -d '{"license_key": "%s", "hardware_id": "my-device"}'
`, c.LicenseURL, endpoint, c.APIKey, c.LicenseKey)
}
