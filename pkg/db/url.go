package db

import (
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
)

// CheckURL returns what is wrong with a database URL, without asking the server. The error does not show the URL.
func CheckURL(url string) error {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return checkFile(path)
	}
	_, err := parsePostgres(Config{URL: url})
	return err
}

// Password is the one in the URL of a database, in whatever part of it; empty for SQLite, and where there is none.
func Password(url string) string {
	if !strings.HasPrefix(url, "postgres") {
		return ""
	}
	conn, err := pgx.ParseConfig(url)
	if err != nil {
		return ""
	}
	return conn.Password
}

// Exposed is the host of a database to which passwords and data may travel unencrypted over a network; empty for
// SQLite, a socket, this computer, or a URL that demands TLS.
func Exposed(url string) (host string) {
	if !strings.HasPrefix(url, "postgres") {
		return ""
	}
	conn, err := pgx.ParseConfig(url)
	if err != nil {
		return ""
	}
	if conn.TLSConfig == nil && !Local(conn.Host) {
		return conn.Host
	}
	for _, next := range conn.Fallbacks {
		if next.TLSConfig == nil && !Local(next.Host) {
			return next.Host
		}
	}
	return ""
}

// Local reports whether a host is this computer: a loopback address, localhost, a socket's path or nothing.
func Local(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || host == "localhost" || host[0] == '/' || err == nil && addr.IsLoopback()
}
