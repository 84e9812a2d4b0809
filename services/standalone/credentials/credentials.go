// Package credentials is the file credentials.json, which tells the owner of a suite, and their scripts, how to reach
// it.
package credentials

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// File is the name of the file in the data directory.
const File = "credentials.json"

// Credentials is the content of the file. Its members are a promise: scripts read them.
type Credentials struct {
	AdminSecret  string `json:"admin_secret"`
	AdminAPIKey  string `json:"admin_api_key"`
	APIKey       string `json:"api_key"`
	LicenseID    string `json:"license_id"`
	LicenseKey   string `json:"license_key"`
	AuthURL      string `json:"auth_url"`
	LicenseURL   string `json:"license_url"`
	AnalyticsURL string `json:"analytics_url"`
	AdminURL     string `json:"admin_url"`
}

// ReadJSON fills v from a file; fs.ErrNotExist when there is none.
func ReadJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s is damaged (%w): restore it from a backup", path, err)
	}
	return nil
}

// WriteJSON replaces a file as WriteFile does.
func WriteJSON(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(path, bytes.NewReader(append(raw, '\n')))
}

// Part is the end of the name of a file that is being written.
const Part = ".part"

// WriteFile replaces a file that only its owner can read (mode 0600). After a crash the file is the old or the new one.
func WriteFile(path string, content io.Reader) error {
	// What a crash left there, or somebody put there, keeps its mode and may be a link.
	if err := os.Remove(path + Part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path+Part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(path + Part)
	_, err = io.Copy(file, content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(path+Part, path)
}
