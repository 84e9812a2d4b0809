package credential

import (
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// audit is the entry for a change. before and after hold JSON values only.
func audit(by *Actor, action, subject string, before, after map[string]any) Record {
	return Record{subject, &eventsv1.AuditRecorded{Actor: by, Action: action, Before: object(before), After: object(after)}}
}

func object(m map[string]any) *structpb.Struct {
	if m == nil {
		return nil
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		panic("credential: an audit entry holds what is not JSON: " + err.Error())
	}
	return s
}

// audited is the key as the audit log shows it.
func (k APIKey) audited() map[string]any {
	allowed := make([]any, len(k.Allowed))
	for i, p := range k.Allowed {
		allowed[i] = p
	}
	m := map[string]any{
		"api_key_id": k.ID, "client_name": k.ClientName, "allowed_endpoints": allowed,
		"rate_limit": map[string]any{"per_minute": k.RateLimit.PerMinute, "per_hour": k.RateLimit.PerHour, "per": k.RateLimit.Per},
		"expires_at": nil,
	}
	if !k.ExpiresAt.IsZero() {
		m["expires_at"] = rfc3339(k.ExpiresAt)
	}
	return m
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
