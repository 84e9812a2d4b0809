package db

import (
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	for url, fine := range map[string]bool{
		"sqlite:x.db": true, "postgres://u:p@h:5432/d": true, "postgresql://h/d?sslmode=require": true,
		"postgres://u:hush%zz@h/d": false, "postgres://u:hush@h/d?sslmode=maybe": false,
		"postgres://u:hush@h:x/d": false,
	} {
		err := CheckURL(url)
		if (err == nil) != fine {
			t.Errorf("%s: got %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%v shows the password", err)
		}
	}
}

func TestExposed(t *testing.T) {
	for url, want := range map[string]string{
		"sqlite:x.db":                              "",
		"postgres://db/x?sslmode=disable":          "db",
		"postgres://db/x":                          "db", // prefers TLS, and takes less
		"postgres://db/x?sslmode=allow":            "db",
		"postgres://db/x?sslmode=require":          "",
		"postgres://db/x?sslmode=verify-full":      "",
		"postgres://127.0.0.1/x?sslmode=disable":   "",
		"postgres://[::1]:5432/x?sslmode=disable":  "",
		"postgres://localhost/x?sslmode=disable":   "",
		"postgres:///x?host=/run/postgresql":       "",
		"postgres://127.0.0.1,b/x?sslmode=disable": "b",
	} {
		if got := Exposed(url); got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
}
