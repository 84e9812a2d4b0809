package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// adminKey is what a data directory says of its admin key; both files must say the same.
func adminKey(t *testing.T, dir string) string {
	t.Helper()
	var made secrets
	var c credentials.Credentials
	for name, v := range map[string]any{secretsFile: &made, credentials.File: &c} {
		if err := credentials.ReadJSON(filepath.Join(dir, name), v); err != nil {
			t.Fatal(err)
		}
	}
	if made.AdminAPIKey != c.AdminAPIKey {
		t.Errorf("%s and %s name different admin keys", secretsFile, credentials.File)
	}
	return c.AdminAPIKey
}

func TestAdminKeyOfASettingStays(t *testing.T) {
	dir := t.TempDir()
	first, _, stop := start(t, anyPort(dir))
	stop()
	const setting = "LATCHKEY_ADMIN_API_KEY"
	given := secret.New("ak_")

	t.Run("not in maintenance mode", func(t *testing.T) {
		t.Setenv(setting, given)
		t.Setenv("LATCHKEY_MAINTENANCE", "true")
		var logs output
		c, _, stop := startLogging(t, anyPort(dir), &logs)
		defer stop()
		if text := logs.String(); strings.Count(text, setting+" is not in force") != 1 {
			t.Errorf("the log does not say that the key is not in force:\n%s", text)
		}
		if n := licenses(t, c); n != 1 || c.AdminAPIKey != first.AdminAPIKey || adminKey(t, dir) != first.AdminAPIKey {
			t.Errorf("%d licenses by another key than the previous one", n)
		}
	})
	t.Run("once given", func(t *testing.T) {
		t.Setenv(setting, given)
		c, _, stop := start(t, anyPort(dir))
		defer stop()
		if n := licenses(t, c); n != 1 || adminKey(t, dir) != given {
			t.Errorf("%d licenses; the setting does not count", n)
		}
	})
	t.Run("a revoked one", func(t *testing.T) {
		t.Setenv(setting, first.AdminAPIKey)
		c, _, stop := start(t, anyPort(dir))
		defer stop()
		if n := licenses(t, c); n != 1 || adminKey(t, dir) != given {
			t.Errorf("%d licenses; a revoked key took the place of the one in force", n)
		}
	})
	c, _, stop := start(t, anyPort(dir))
	defer stop()
	if n := licenses(t, c); n != 1 || adminKey(t, dir) != given {
		t.Errorf("%d licenses; without the setting its key is forgotten", n)
	}
}

// TestRevokedAdminKeyIsReplaced: anyone who has the data directory is its owner.
func TestRevokedAdminKeyIsReplaced(t *testing.T) {
	dir := t.TempDir()
	first, _, stop := start(t, anyPort(dir))
	revokeAdminKey(t, first)
	stop()
	var logs output
	later, _, stop := startLogging(t, anyPort(dir), &logs)
	if text := logs.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "a new one is there") {
		t.Errorf("the log does not say in a line that there is a new key:\n%s", text)
	}
	if n := licenses(t, later); n != 1 || later.AdminAPIKey == first.AdminAPIKey {
		t.Errorf("%d licenses by the previous key: %v", n, later.AdminAPIKey == first.AdminAPIKey)
	}
	stop()
	last, _, stop := start(t, anyPort(dir))
	defer stop()
	if adminKey(t, dir) != later.AdminAPIKey || last.LicenseID != first.LicenseID {
		t.Error("the new key, or the demo license, is another one after the next start")
	}
}

// revokeAdminKey makes another owner, who revokes the one of the suite.
func revokeAdminKey(t *testing.T, c credentials.Credentials) {
	t.Helper()
	var list struct {
		Keys []struct {
			ID string `json:"id"`
		} `json:"admin_keys"`
	}
	var made struct {
		AdminAPIKey string `json:"admin_api_key"`
	}
	ask := func(method, path, body string, out any) {
		request, err := http.NewRequestWithContext(t.Context(), method, c.AdminURL+"/api/v1/admin/keys"+path,
			strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Admin-API-Key", c.AdminAPIKey)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode >= http.StatusBadRequest {
			t.Fatalf("%s %s answers %d", method, path, response.StatusCode)
		}
		if err := json.NewDecoder(response.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
	ask(http.MethodGet, "", "", &list)
	ask(http.MethodPost, "", `{"name": "successor", "role": "owner"}`, &made)
	c.AdminAPIKey = made.AdminAPIKey
	ask(http.MethodDelete, "/"+list.Keys[0].ID, "", new(struct{}))
}

func TestDataWithoutItsSecretsIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	_, _, stop := start(t, anyPort(dir))
	stop()
	file := filepath.Join(dir, secretsFile)
	if err := os.Rename(file, filepath.Join(t.TempDir(), "kept")); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"", "doctor"} {
		err := run(t.Context(), append(anyPort(dir), strings.Fields(command)...), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "put back the "+secretsFile) {
			t.Errorf("%q: %v", command, err)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%q makes new secrets", command)
		}
	}
}
