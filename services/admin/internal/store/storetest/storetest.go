// Package storetest is what every store of admin must keep: it runs against each engine.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
	"github.com/latchkey-dev/latchkey/services/admin/internal/audit"
)

// Subject is a store under test.
type Subject struct {
	Keys  adminkey.Store
	Audit audit.Log
	// Announced answers the events about a subject that wait for the bus or have been sent.
	Announced func(ctx context.Context, subject string) ([]event.Event, error)
}

// Run runs the suite. open returns an empty store.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for name, test := range map[string]func(*testing.T, Subject){
		"keys: added, found, listed":               addedKeyIsFound,
		"keys: revoked is gone":                    revokedKeyIsGone,
		"keys: the last owner stays":               lastOwnerStays,
		"keys: two owners deleted at once":         oneOwnerSurvivesARace,
		"keys: configured owner":                   configuredOwner,
		"keys: configured by many replicas":        configuredByManyReplicas,
		"keys: revoked configured key stays so":    revokedConfiguredKeyStaysSo,
		"audit: delivered twice is one entry":      duplicatesAreOne,
		"audit: searched by each filter":           searchFilters,
		"audit: pages do not overlap":              pages,
		"audit: a cursor reads on":                 readingOn,
		"audit: entry comes back as it was stored": entryRoundTrip,
		"audit: customers are erased":              erases,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

var start = time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC)

func newID(t *testing.T) string {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// recorded reads the audit records about a subject, by action.
func recorded(t *testing.T, s Subject, subject string) map[string]*eventsv1.AuditRecorded {
	t.Helper()
	events, err := s.Announced(t.Context(), subject)
	if err != nil {
		t.Fatalf("announced events of %s: %v", subject, err)
	}
	records := map[string]*eventsv1.AuditRecorded{}
	for _, e := range events {
		var m eventsv1.AuditRecorded
		if err := e.Into(&m); err != nil {
			t.Fatal(err)
		}
		if records[m.GetAction()] != nil {
			t.Errorf("%s of %s is recorded twice", m.GetAction(), subject)
		}
		records[m.GetAction()] = &m
	}
	return records
}
