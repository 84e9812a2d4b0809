package credential

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/audit"
)

// audited is the audit entry of a change to subject.
func audited(by *Actor, action, subject string, before, after map[string]any) Record {
	return Record{subject, audit.Entry(by, action, before, after)}
}

// auditView is the key as the audit log shows it.
func (k APIKey) auditView() map[string]any {
	m := map[string]any{
		"api_key_id": k.ID, "client_name": k.ClientName, "allowed_endpoints": k.Allowed,
		"rate_limit": map[string]any{"per_minute": k.RateLimit.PerMinute, "per_hour": k.RateLimit.PerHour,
			"per": k.RateLimit.Per},
		"product": nil, "expires_at": nil,
	}
	if k.Product != "" {
		m["product"] = k.Product
	}
	if !k.ExpiresAt.IsZero() {
		m["expires_at"] = rfc3339(k.ExpiresAt)
	}
	return m
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
