// Package smoketest tries a suite from outside, as its clients call it.
package smoketest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/secret"
)

// Suite is where the public ports of a suite are, and the credentials of its owner.
type Suite struct {
	AuthURL, LicenseURL, AdminURL string
	AdminSecret, AdminAPIKey      secret.Secret
	// HTTP carries the calls; nil means the network.
	HTTP http.RoundTripper
}

// Run makes an API key and a test license, activates and validates that, and ends both again, however it went, even
// when ctx ended.
func (s Suite) Run(ctx context.Context) (err error) {
	end := context.WithoutCancel(ctx)
	key := struct {
		ID     string        `json:"id"`
		APIKey secret.Secret `json:"api_key"`
	}{}
	if err := s.asSecret(ctx, http.MethodPost, "/api/v1/auth/api-key",
		map[string]any{"client_name": "smoke test", "allowed_endpoints": []string{"*"}}, &key); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.asSecret(end, http.MethodDelete, "/api/v1/auth/api-keys/"+key.ID, nil, nil))
	}()
	license := struct {
		ID  string `json:"license_id"`
		Key string `json:"license_key"`
	}{}
	if err := s.asAdmin(ctx, http.MethodPost, "/api/v1/admin/licenses",
		map[string]any{"customer_id": "smoke-test", "max_devices": 1, "is_test": true}, &license); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.asAdmin(end, http.MethodDelete, "/api/v1/admin/licenses/"+license.ID, nil, nil))
	}()
	return s.use(ctx, key.APIKey, license.Key)
}

// use activates and validates a license.
func (s Suite) use(ctx context.Context, key secret.Secret, license string) error {
	device := map[string]any{"license_key": license, "hardware_id": "smoke-test"}
	if err := s.asClient(ctx, key, "/api/v1/license/activate", device, nil); err != nil {
		return err
	}
	var validation struct {
		Valid bool `json:"valid"`
	}
	if err := s.asClient(ctx, key, "/api/v1/license/validate", device, &validation); err != nil {
		return err
	}
	if !validation.Valid {
		return errors.New("a license that was just made and activated is not valid")
	}
	return nil
}

func (s Suite) asSecret(ctx context.Context, method, path string, body, out any) error {
	return call{method, s.AuthURL + path, "X-Admin-Secret", s.AdminSecret, s.HTTP}.do(ctx, body, out)
}

func (s Suite) asAdmin(ctx context.Context, method, path string, body, out any) error {
	return call{method, s.AdminURL + path, "X-Admin-API-Key", s.AdminAPIKey, s.HTTP}.do(ctx, body, out)
}

func (s Suite) asClient(ctx context.Context, key secret.Secret, path string, body, out any) error {
	return call{http.MethodPost, s.LicenseURL + path, "X-API-Key", key, s.HTTP}.do(ctx, body, out)
}

type call struct {
	method, url, header string
	credential          secret.Secret
	http                http.RoundTripper
}

const (
	timeout   = 15 * time.Second
	maxAnswer = 1 << 20
)

// do decodes the answer into out unless that is nil.
func (c call) do(ctx context.Context, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, c.method, c.url, payload)
	if err != nil {
		return err
	}
	request.Header.Set(c.header, c.credential.Reveal())
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: c.http}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s answers %s: %s", c.method, c.url, response.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
