package credential

import (
	"encoding/json"
	"reflect"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// audit is the entry for a change. before and after hold JSON values only.
func audit(by *Actor, action, subject string, before, after map[string]any) Record {
	return Record{subject, &eventsv1.AuditRecorded{Actor: by, Action: action, BeforeJson: object(before), AfterJson: object(after)}}
}

// object is the members as JSON text, empty where there are none.
func object(members map[string]any) string {
	if members == nil {
		return ""
	}
	text, err := json.Marshal(members)
	if err != nil {
		panic("credential: an audit entry holds what is not JSON: " + err.Error())
	}
	return string(text)
}

// audited is the key as the audit log shows it.
func (k APIKey) audited() map[string]any {
	m := map[string]any{
		"api_key_id": k.ID, "client_name": k.ClientName, "allowed_endpoints": k.Allowed,
		"rate_limit": map[string]any{"per_minute": k.RateLimit.PerMinute, "per_hour": k.RateLimit.PerHour, "per": k.RateLimit.Per},
		"expires_at": nil,
	}
	if !k.ExpiresAt.IsZero() {
		m["expires_at"] = rfc3339(k.ExpiresAt)
	}
	return m
}

// difference is the members of two views of one thing in which they differ.
func difference(before, after map[string]any) (was, is map[string]any) {
	was, is = map[string]any{}, map[string]any{}
	for name, value := range after {
		if !reflect.DeepEqual(before[name], value) {
			was[name], is[name] = before[name], value
		}
	}
	return was, is
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
