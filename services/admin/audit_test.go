package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/bus/amqp"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/testkit"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
	"github.com/latchkey-dev/latchkey/services/admin"
)

const auditPath = "/api/v1/admin/audit"

type auditAnswer struct {
	Entries []struct {
		AuditID    string `json:"audit_id"`
		OccurredAt string `json:"occurred_at"`
		Actor      struct{ ID, Name, Role string }
		Action     string
		LicenseID  *string `json:"license_id"`
		Before     json.RawMessage
		After      json.RawMessage
		IP         *string
		RequestID  *string `json:"request_id"`
	}
	Page, Total  int
	NextCursor   *string `json:"next_cursor"`
	PerPage      int     `json:"per_page"`
	TotalPages   int     `json:"total_pages"`
	TotalAtLeast int     `json:"total_at_least"`
}

// audit waits until the log has total entries of the query.
func (s *harness) audit(query string, total int) auditAnswer {
	s.t.Helper()
	var out auditAnswer
	testkit.Eventually(s.t, patience, func() error {
		s.call(ownerKey, "GET", auditPath+query, nil, nil).want(http.StatusOK, &out)
		if out.Total != total {
			return fmt.Errorf("%d entries, want %d", out.Total, total)
		}
		return nil
	})
	return out
}

func change(t *testing.T, licenseID string, at time.Time) event.Event {
	t.Helper()
	e, err := event.New("latchkey/license", licenseID, at, &eventsv1.AuditRecorded{
		Actor:  &rpcv1.Actor{Id: "a1", Name: "Ada", Role: "operator", Ip: "192.0.2.7", RequestId: "req-1"},
		Action: "license.update", LicenseId: licenseID, AfterJson: `{"metadata":{"big":12345678901234567890}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAuditGathersWhatServicesRecord(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		one, two := change(t, licenseID, now), change(t, licenseID, now.Add(time.Minute))
		for _, batch := range [][]event.Event{{one}, {one, two, one}, {two}} {
			if err := s.bus.Publish(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		got := s.audit("?license_id="+licenseID, 2)
		if e := got.Entries[1]; e.AuditID != one.ID || e.OccurredAt != "2026-03-02T12:00:00Z" ||
			e.Actor.Name != "Ada" || e.Actor.Role != "operator" ||
			e.Action != "license.update" || *e.LicenseID != licenseID || string(e.Before) != "null" ||
			*e.IP != "192.0.2.7" || *e.RequestID != "req-1" {
			t.Errorf("%+v", e)
		}
		if after := string(got.Entries[1].After); !strings.Contains(after, "12345678901234567890") {
			t.Errorf("the number became %s", after)
		}
		if got.Entries[0].AuditID != two.ID {
			t.Error("not newest first")
		}
		for query, total := range map[string]int{
			"?actor_id=a1": 2, "?actor_id=a2": 0, "?action=license.update": 2, "?action=user.create": 0,
			"?license_id=" + licenseID + "&after=2026-03-02T12:01:00Z":  1,
			"?license_id=" + licenseID + "&before=2026-03-02T12:01:00Z": 1,
			"?license_id=0199d3c4-7a10-7c3e-9f65-000000000000":          0,
		} {
			s.audit(query, total)
		}
		if page := s.audit("?actor_id=a1&per_page=1&page=2", 2); len(page.Entries) != 1 || page.TotalPages != 2 ||
			page.Entries[0].AuditID != one.ID {
			t.Errorf("%+v", page)
		}
		first := s.audit("?actor_id=a1&per_page=1", 2)
		if first.NextCursor == nil {
			t.Fatal("no cursor, though an entry follows")
		}
		rest := s.audit("?actor_id=a1&per_page=1&cursor="+*first.NextCursor, 2)
		if len(rest.Entries) != 1 || rest.Entries[0].AuditID != one.ID || rest.Page != 0 || rest.NextCursor != nil {
			t.Errorf("%+v", rest)
		}
		if past := s.audit("?actor_id=a1&page=9", 2); len(past.Entries) != 0 {
			t.Errorf("%+v", past)
		}
	})
}

func TestAuditEntryOfAChangeOfKeys(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		res := s.call(ownerKey, "POST", keysPath, `{"name":"Ada","role":"viewer"}`,
			header("X-Request-ID", "my-request"))
		var made keyAnswer
		res.want(http.StatusCreated, &made)
		s.call(ownerKey, "DELETE", keysPath+"/"+made.ID, nil, nil).want(http.StatusOK, nil)
		created := s.audit("?action=admin_key.create", 1).Entries[0]
		diffJSON(t, fmt.Sprintf(`{"id":%q,"name":"Ada","role":"viewer"}`, made.ID), created.After)
		if created.Actor.Name != "configuration" || created.LicenseID != nil || *created.IP != "192.0.2.1" ||
			*created.RequestID != "my-request" {
			t.Errorf("%+v", created)
		}
		deleted := s.audit("?action=admin_key.delete", 1).Entries[0]
		diffJSON(t, fmt.Sprintf(`{"id":%q,"name":"Ada","role":"viewer"}`, made.ID), deleted.Before)
		if system := s.audit("?action=admin_key.configure", 1).Entries[0]; system.Actor.Role != "system" {
			t.Errorf("%+v", system)
		}
	})
}

// An entry that cannot be read becomes a dead letter, and those that came with it are taken in.
func TestUnreadableAuditEntryIsSetAside(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *harness) {
		good, bad, nameless := change(t, licenseID, now), change(t, licenseID, now), change(t, licenseID, now)
		bad.Data = json.RawMessage(`{"action":"license.update","license_id":"no UUID"}`)
		nameless.Data = json.RawMessage(`{}`)
		nul := change(t, licenseID, now)
		nul.Data = json.RawMessage(`{"action":"x.y","actor":{"id":"\u0000"}}`)
		if err := s.bus.Publish(t.Context(), []event.Event{bad, good, nameless, nul}); err != nil {
			t.Fatal(err)
		}
		s.audit("?license_id="+licenseID, 1)
		testkit.Eventually(t, patience, func() error {
			letters, err := s.bus.DeadLetters("admin.audit").List(t.Context(), 10)
			if err == nil && len(letters) != 3 {
				err = errors.New("not three dead letters")
			}
			return err
		})
	})
}

// The same over a real broker, which delivers what was published before anybody consumed.
func TestAuditOverRabbitMQ(t *testing.T) {
	b, err := amqp.Dial(amqp.Config{URL: testkit.AMQP(t), Name: "admin", Log: testkit.Log(t), Queues: admin.Queues})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if err := b.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := change(t, licenseID, now)
	if err := b.Publish(t.Context(), []event.Event{e, e}); err != nil {
		t.Fatal(err)
	}
	s := startOn(t, testkit.SQLite(t, migrations()...), b, nil)
	if got := s.audit("?license_id="+licenseID, 1); got.Entries[0].AuditID != e.ID {
		t.Errorf("%+v", got)
	}
	s.newKey("Ada", "viewer")
	s.audit("?action=admin_key.create", 1)
}

func TestAuditRefusesBadFilters(t *testing.T) {
	s := onSQLite(t, nil)
	for _, query := range []string{"?license_id=x", "?license_id=", "?actor_id=", "?action=%00", "?after=soon",
		"?before=2026-13-01", "?page=0", "?per_page=101"} {
		s.call(ownerKey, "GET", auditPath+query, nil, nil).fails(http.StatusBadRequest, errcode.ValidationError)
	}
	typo := s.call(ownerKey, "GET", auditPath+"?action=licence.create", nil, nil)
	typo.fails(http.StatusBadRequest, errcode.ValidationError)
	if !strings.Contains(string(typo.body), "did you mean license.create?") {
		t.Errorf("%s", typo.body)
	}
}

// TestAuditCountsUpToABound as other lists do: beyond it the total is null.
func TestAuditCountsUpToABound(t *testing.T) {
	s := onSQLite(t, nil)
	const bound = 10_000
	err := s.deps.DB.Tx(t.Context(), func(_ context.Context, tx *gorm.DB) error {
		return tx.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO audit_entries
				(audit_id, occurred_at, actor_id, actor_name, actor_role, action, ip, request_id)
			SELECT printf('00000000-0000-7000-8000-%012x', i), ?, '', '', '', 'admin_key.create', '', '' FROM n`,
			bound, now).Error
	})
	if err != nil {
		t.Fatal(err)
	}
	const query = "?action=admin_key.create&per_page=100&page=100"
	if all := s.audit(query, bound); all.TotalPages != 100 || all.NextCursor != nil || all.TotalAtLeast != 0 {
		t.Errorf("%+v", all)
	}
	s.newKey("Ada", "viewer")
	testkit.Eventually(t, patience, func() error {
		var more auditAnswer
		s.call(ownerKey, "GET", auditPath+query, nil, nil).want(http.StatusOK, &more)
		if more.Total != 0 || more.TotalPages != 0 || more.TotalAtLeast != bound+1 || more.NextCursor == nil {
			return fmt.Errorf("%d of %d pages, at least %d", more.Total, more.TotalPages, more.TotalAtLeast)
		}
		return nil
	})
}
