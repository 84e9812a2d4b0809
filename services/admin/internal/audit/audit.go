// Package audit holds the rules of the audit log: what one entry is, how it travels, and how the log is searched.
// Anyone who makes a change writes audit.recorded in the transaction of the change; admin gathers the entries here, for
// ever: nothing prunes them, and nobody but an erasure (erasure.go) changes them.
package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Actor is who made a change.
type Actor = audit.Actor

// Record is a change that admin itself makes, on its way into the outbox.
type Record struct {
	Actor  *Actor
	Action string
	At     time.Time
	// Before and After hold the members that changed; secrets never.
	Before, After map[string]any
}

// Message is the record as it travels.
func (r Record) Message() *eventsv1.AuditRecorded {
	return audit.Entry(r.Actor, r.Action, r.Before, r.After)
}

// Entry is one line of the log.
type Entry struct {
	// ID is the id of the event that brought the entry, so an event delivered twice is one entry.
	ID         string
	OccurredAt time.Time
	Actor      *Actor
	Action     string
	// LicenseID is empty where the change concerns no license.
	LicenseID string
	// Before and After are JSON objects; nil where the change has none.
	Before, After json.RawMessage
}

// Filter narrows a search; zero members do not.
type Filter struct {
	LicenseID, ActorID, Action string
	// After is inclusive, Before exclusive.
	After, Before *time.Time
	// Page counts from 1; Behind takes its place where it is not nil.
	Page, PerPage int
	Behind        *Position
}

// Position is the place of an entry in the log.
type Position struct {
	At time.Time
	ID string
}

// MaxTotal is up to how many entries that match are counted.
const MaxTotal = 10_000

// Found is what a search found.
type Found struct {
	Entries []Entry
	// Total is how many entries match in all, MaxTotal + 1 where there are more than MaxTotal.
	Total int
	// Next is the last of Entries where more follow, else nil.
	Next *Position
}

// NewEntry is the entry of a recorded change that traveled as the event id and happened at the time at. An error means
// that no later attempt can succeed.
func NewEntry(id string, at time.Time, m *eventsv1.AuditRecorded) (Entry, error) {
	if !uid.Is(id) {
		return Entry{}, fmt.Errorf("audit event: id %q is not a UUID", id)
	}
	if m.GetAction() == "" {
		return Entry{}, fmt.Errorf("audit event %s names no action", id)
	}
	license, ok := uid.Former(m.GetLicenseId()) // a log that is published once more holds what was written long ago
	if !ok && m.GetLicenseId() != "" {
		return Entry{}, fmt.Errorf("audit event %s: license_id %.50q is not a UUID", id, m.GetLicenseId())
	}
	if !storable(m) {
		return Entry{}, fmt.Errorf("audit event %s has NUL in its text", id)
	}
	before, err := fromText(m.GetBeforeJson())
	if err != nil {
		return Entry{}, fmt.Errorf("audit event %s, before: %w", id, err)
	}
	after, err := fromText(m.GetAfterJson())
	if err != nil {
		return Entry{}, fmt.Errorf("audit event %s, after: %w", id, err)
	}
	return Entry{
		ID:         id,
		OccurredAt: at.UTC(),
		Actor:      m.GetActor(),
		Action:     m.GetAction(),
		LicenseID:  license,
		Before:     before,
		After:      after,
	}, nil
}

// storable reports whether a database takes the text: none has NUL.
func storable(m *eventsv1.AuditRecorded) bool {
	who := m.GetActor()
	for _, text := range []string{
		m.GetAction(), who.GetId(), who.GetName(), who.GetRole(), who.GetIp(), who.GetRequestId(),
	} {
		if strings.ContainsRune(text, 0) {
			return false
		}
	}
	return true
}

// fromText keeps the members as they were written: a number that no float64 can hold stays what it is.
func fromText(text string) (json.RawMessage, error) {
	if text == "" {
		return nil, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
		return nil, fmt.Errorf("is not a JSON object: %.100q", text)
	}
	return json.RawMessage(text), nil
}
