package app

import (
	"context"
	"log/slog"
	"net/url"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/httpx/server"
)

// WarnExposed says once, at the start in production, which connections of the settings may carry secrets unencrypted
// over a network. A private network may be reason enough to leave it so.
func (b Base) WarnExposed(ctx context.Context, log *slog.Logger) {
	if b.Env != Production {
		return
	}
	for setting, host := range b.exposed() {
		log.WarnContext(ctx, "a connection is not encrypted: use TLS unless the network is private",
			"setting", setting, "host", host)
	}
}

// WarnPlain says, at the start in production, which of the public ports take credentials by plain HTTP on other
// addresses than this computer's own. Whether anyone can reach them (a published port, a proxy) it cannot know.
func (b Base) WarnPlain(ctx context.Context, log *slog.Logger, ports ...server.Server) {
	for _, s := range ports {
		if b.Env == Production && s.TLSCert == "" && public(s.Addr) {
			log.WarnContext(ctx, "this port accepts credentials over plain HTTP: let only this computer or a proxy "+
				"with TLS reach it, or name a certificate in LATCHKEY_TLS_CERT_FILE",
				"setting", s.Setting, "address", s.Addr)
		}
	}
}

// exposed are the hosts of such connections by setting.
func (b Base) exposed() map[string]string {
	hosts := map[string]string{}
	if host := db.Exposed(b.DatabaseURL); host != "" {
		hosts["LATCHKEY_DATABASE_URL"] = host
	}
	for setting, peer := range map[string]string{
		"LATCHKEY_AMQP_URL":      b.AMQPURL,
		"LATCHKEY_AUTH_URL":      b.AuthURL,
		"LATCHKEY_LICENSE_URL":   b.LicenseURL,
		"LATCHKEY_ANALYTICS_URL": b.AnalyticsURL,
		"LATCHKEY_ADMIN_URL":     b.AdminURL,
	} {
		u, err := url.Parse(peer)
		if err == nil && !strings.HasSuffix(u.Scheme, "s") && !db.Local(u.Hostname()) {
			hosts[setting] = u.Hostname()
		}
	}
	return hosts
}
