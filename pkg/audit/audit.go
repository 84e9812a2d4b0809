// Package audit makes the entries of the audit log. Anyone who makes a change writes its entry in the transaction of
// the change, as an event; admin gathers the entries.
package audit

import (
	"encoding/json"
	"reflect"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
)

// Actor is who makes a change.
type Actor = rpcv1.Actor

// Entry is the event of a change, which is named as in "license.update". before and after are the members that
// changed, nil for none; they hold JSON values only, and never a secret. What is not JSON is a mistake of the program:
// Entry panics.
func Entry(by *Actor, action string, before, after map[string]any) *eventsv1.AuditRecorded {
	return &eventsv1.AuditRecorded{Actor: by, Action: action, BeforeJson: text(before), AfterJson: text(after)}
}

// Changes are the members in which two views of one thing differ, as they were and as they are; empty when none do.
func Changes(before, after map[string]any) (was, is map[string]any) {
	was, is = map[string]any{}, map[string]any{}
	for name, value := range after {
		if !reflect.DeepEqual(before[name], value) {
			was[name], is[name] = before[name], value
		}
	}
	return was, is
}

// text is the members as JSON, empty where there are none.
func text(members map[string]any) string {
	if members == nil {
		return ""
	}
	encoded, err := json.Marshal(members)
	if err != nil {
		panic("audit: a member is no JSON: " + err.Error())
	}
	return string(encoded)
}
