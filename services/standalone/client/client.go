// Package client asks the public API for the few things that setting up a suite takes.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Client asks the auth and the admin service with the credentials of their owner.
type Client struct {
	AuthURL, AdminURL        string
	AdminSecret, AdminAPIKey string
	// HTTP carries the requests; nil means the network.
	HTTP http.RoundTripper
}

// APIKeyRequest is the body of POST /api/v1/auth/api-key.
type APIKeyRequest struct {
	ClientName       string     `json:"client_name"`
	AllowedEndpoints []string   `json:"allowed_endpoints"`
	RateLimit        *RateLimit `json:"rate_limit,omitempty"` // nil: the documented limits
}

// RateLimit is the allowance of a key; 0 means no limit.
type RateLimit struct {
	PerMinute int `json:"per_minute"`
	PerHour   int `json:"per_hour"`
}

// LicenseRequest is the body of POST /api/v1/admin/licenses.
type LicenseRequest struct {
	CustomerID string   `json:"customer_id"`
	MaxDevices int      `json:"max_devices"`
	Features   []string `json:"features,omitempty"`
}

// License is what a created license answers, as far as it is used here.
type License struct {
	LicenseID  string `json:"license_id"`
	LicenseKey string `json:"license_key"`
}

// CreateAPIKey makes a key and returns its secret. Asked again within a day for the same key, the answer is the same.
func (c Client) CreateAPIKey(ctx context.Context, body APIKeyRequest) (string, error) {
	var answer struct {
		APIKey string `json:"api_key"`
	}
	call := call{
		method:     http.MethodPost,
		url:        c.AuthURL + "/api/v1/auth/api-key",
		header:     "X-Admin-Secret",
		credential: c.AdminSecret,
		body:       body,
	}
	_, err := c.do(ctx, call, http.StatusCreated, &answer)
	return answer.APIKey, err
}

// CreateLicense makes a license. Asked again within a day for the same license, the answer is the same.
func (c Client) CreateLicense(ctx context.Context, body LicenseRequest) (License, error) {
	var answer License
	call := call{
		method:     http.MethodPost,
		url:        c.AdminURL + "/api/v1/admin/licenses",
		header:     "X-Admin-API-Key",
		credential: c.AdminAPIKey,
		body:       body,
	}
	_, err := c.do(ctx, call, http.StatusCreated, &answer)
	return answer, err
}

// HasLicense reports whether the suite knows a license.
func (c Client) HasLicense(ctx context.Context, id string) (bool, error) {
	call := call{
		method:     http.MethodGet,
		url:        c.AdminURL + "/api/v1/admin/licenses/" + id,
		header:     "X-Admin-API-Key",
		credential: c.AdminAPIKey,
	}
	status, err := c.do(ctx, call, http.StatusOK, nil)
	if status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// Ready asks the service at url whether it can do its work; the error has what it says. A nil transport means the
// network.
func Ready(ctx context.Context, transport http.RoundTripper, url string) error {
	_, err := Client{HTTP: transport}.do(ctx, call{method: http.MethodGet, url: url + "/readyz"}, http.StatusOK, nil)
	return err
}

type call struct {
	method, url        string
	header, credential string
	body               any
}

const timeout = 15 * time.Second

// do makes a call and decodes its answer into out unless that is nil. Another status than want is an error with what
// the service says.
func (c Client) do(ctx context.Context, call call, want int, out any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := json.Marshal(call.body)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, call.method, call.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if call.header != "" {
		request.Header.Set(call.header, call.credential)
	}
	request.Header.Set("Content-Type", "application/json")
	if call.method == http.MethodPost { // a second try after a crash makes nothing twice
		request.Header.Set("Idempotency-Key", fmt.Sprintf("setup-%x", sha256.Sum256(body)))
	}
	response, err := cmp.Or(c.HTTP, http.DefaultTransport).RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	if response.StatusCode != want {
		return response.StatusCode, fmt.Errorf("%s %s answers %s: %s", call.method, call.url, response.Status, answer)
	}
	if out == nil {
		return want, nil
	}
	return want, json.Unmarshal(answer, out)
}
