package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/standalone/client"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// keepAdminKey is told whether the admin key of the settings is in force. If it is, later starts need no setting for
// it. A key of secrets.json that was revoked is replaced, because nobody else can.
func (s *suite) keepAdminKey(live bool) (instead secret.Secret, err error) {
	key, saved := s.settings.admin.AdminAPIKey, secret.Secret(s.data.secrets.AdminAPIKey)
	switch {
	case live && key != saved:
		return "", s.data.saveAdminKey(key.Reveal())
	case live || key != saved:
		return "", nil
	}
	instead = secret.Secret(secret.New(adminKeyPrefix))
	if err := s.data.saveAdminKey(instead.Reveal()); err != nil {
		return "", err
	}
	s.settings.admin.AdminAPIKey = instead
	s.log.Warn("the admin key of " + secretsFile + " was revoked; a new one is there and in " + credentials.File)
	return instead, nil
}

// prepareCredentials brings credentials.json up to date and returns its content. On SQLite the demo key and the demo
// license are made when there are none, but not in maintenance mode; the suite serves without them as well. A database
// that somebody else runs gets neither: it may be in use, or become so.
func prepareCredentials(ctx context.Context, s *suite, urls map[string]string) (credentials.Credentials, error) {
	var before credentials.Credentials
	d := s.data
	if err := credentials.ReadJSON(d.file(credentials.File), &before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return before, err
	}
	c := before
	c.AdminSecret, c.AdminAPIKey = d.secrets.AdminSecret, d.secrets.AdminAPIKey
	c.AuthURL, c.LicenseURL, c.AnalyticsURL, c.AdminURL =
		urls["auth"], urls["license"], urls["analytics"], urls["admin"]
	if s.settings.DatabaseURL != "" {
		c.APIKey, c.LicenseID, c.LicenseKey = "", "", ""
	} else if !s.readOnly {
		owner := client.Client{
			AuthURL:     "http://auth",
			AdminURL:    "http://admin",
			AdminSecret: c.AdminSecret,
			AdminAPIKey: c.AdminAPIKey,
			HTTP:        s.public,
		}
		if err := makeDemo(ctx, owner, &c); err != nil {
			s.log.WarnContext(ctx, "there is no demo license", "error", err)
		}
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
	license, err := owner.CreateLicense(ctx, client.LicenseRequest{
		CustomerID: "demo",
		MaxDevices: 5,
		Features:   []string{"demo"},
	})
	if err != nil {
		return err
	}
	key, err := owner.CreateAPIKey(ctx, client.APIKeyRequest{ClientName: "demo", AllowedEndpoints: []string{"*"}})
	if err == nil {
		c.APIKey, c.LicenseID, c.LicenseKey = key, license.LicenseID, license.LicenseKey
	}
	return err
}

const greeting = `
Latchkey is running. Ctrl-C stops it.

    auth       %[1]s   %[1]s/docs
    license    %[2]s   %[2]s/docs
    analytics  %[3]s   %[3]s/docs
    admin      %[4]s   %[4]s/docs

%[5]s
All keys and addresses: %[6]s
`

// welcome says where everything is. On a terminal it shows the demo key and the demo license, elsewhere (a journal, a
// file) where they stand; and no other secret anywhere.
func welcome(out io.Writer, dir string, c credentials.Credentials) {
	file := filepath.Join(dir, credentials.File)
	fmt.Fprintf(out, greeting, c.AuthURL, c.LicenseURL, c.AnalyticsURL, c.AdminURL,
		firstCalls(c, file, app.IsTerminal(out)), file)
}

// firstCalls are lines to paste.
func firstCalls(c credentials.Credentials, file string, show bool) string {
	if c.LicenseKey == "" {
		return fmt.Sprintf("This database has no demo license. To make a license, with the admin_api_key of %s:\n\n"+
			"    curl %s/api/v1/admin/licenses \\\n      -H \"X-Admin-API-Key: $ADMIN_API_KEY\" -H 'Content-Type: "+
			"application/json' \\\n      -d '{\"customer_id\": \"acme\", \"max_devices\": 5}'\n", file, c.AdminURL)
	}
	title := "Activate the demo license, then validate it:"
	if !show {
		// What is no terminal may be a journal that others read: the lines fetch the keys themselves.
		title += "\n\n" + fetch("API_KEY", "api_key", file) + fetch("LICENSE_KEY", "license_key", file)
		title = strings.TrimSuffix(title, "\n")
		c.APIKey, c.LicenseKey = "$API_KEY", "$LICENSE_KEY"
	}
	return title + "\n\n" + curl(c, "activate") + "\n" + curl(c, "validate")
}

// fetch is a line to paste that reads a member of the credentials file into a variable of the shell.
func fetch(variable, member, file string) string {
	return fmt.Sprintf("    %s=$(sed -n 's/.*\"%s\": \"\\(.*\\)\".*/\\1/p' '%s')\n", variable, member, file)
}

// curl is a line to paste that asks the license service with the demo key.
func curl(c credentials.Credentials, endpoint string) string {
	return fmt.Sprintf(`    curl %s/api/v1/license/%s \
      -H "X-API-Key: %s" -H 'Content-Type: application/json' \
      -d "{\"license_key\": \"%s\", \"hardware_id\": \"my-device\"}"
`, c.LicenseURL, endpoint, c.APIKey, c.LicenseKey)
}
