package licensing

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// DefaultProduct is the product of a license that names none.
const DefaultProduct = "default"

// Bounds of what an administrator may write about a license.
const (
	maxText          = 255
	maxMetadataBytes = 64 << 10
)

// Licenses are the use cases of administrators for licenses.
type Licenses struct {
	Store Store
	Reads Reads
	Clock clock.Clock
	// ShortLeases admits leases too short for production.
	ShortLeases bool
	// Unaudited is called for what the audit log cannot take in maintenance mode.
	Unaudited func(ctx context.Context, by *Actor, action, licenseID string)

	searches keySearches
}

// NewLicense is what an administrator says of a license to be made. Nil members take their defaults.
type NewLicense struct {
	CustomerID string
	// Product is the code or the name of a product; one that is not there is made. Empty is the default product.
	Product string
	// Policy is the code of the policy whose terms the license takes, except those that TermsChange names; empty for
	// none.
	Policy string
	// GroupID is empty for none.
	GroupID string
	// Key brings an existing key along; nil: one is made.
	Key *string
	TermsChange
	IsTest   bool
	Metadata json.RawMessage
}

// Created is a license that has just been made, and its key.
type Created struct {
	License License
	Key     string
}

// Create makes a license. Errors: VALIDATION_ERROR, ErrKeyExists, GroupError.
func (s *Licenses) Create(ctx context.Context, by *Actor, n NewLicense) (Created, error) {
	created, errs, err := s.CreateMany(ctx, by, []NewLicense{n})
	if err != nil {
		return Created{}, err
	}
	return created[0], errs[0]
}

// CreateMany makes the licenses that can be made: errs[i] tells why created[i] was not, and each row stands alone.
func (s *Licenses) CreateMany(
	ctx context.Context, by *Actor, rows []NewLicense,
) (made []Created, errs []error, err error) {
	now := s.Clock.Now()
	made, errs = make([]Created, len(rows)), make([]error, len(rows))
	var good []int
	var inserts []NewRow
	policies := policyReader{reads: s.Reads}
	for i, n := range rows {
		n.ShortLeases = s.ShortLeases
		policy, err := policies.named(ctx, n.Policy)
		if err == nil {
			made[i], err = n.license(policy, now)
		}
		if IsOutage(err) {
			return nil, nil, err
		}
		if errs[i] = err; err != nil {
			continue
		}
		good = append(good, i)
		inserts = append(inserts, NewRow{
			License: made[i].License, Key: made[i].Key, Imported: n.Key != nil,
			Events: func(l *License) []proto.Message {
				return []proto.Message{created(l, now), audited(by, "license.create", l.ID, nil, l.auditView())}
			},
		})
	}
	if len(inserts) == 0 {
		return made, errs, nil
	}
	refused, err := s.Store.Create(ctx, inserts)
	if err != nil {
		return nil, nil, err
	}
	for k, i := range good {
		made[i].License, errs[i] = inserts[k].License, refused[k]
	}
	return made, errs, nil
}

func (n *NewLicense) license(policy *Policy, now time.Time) (Created, error) {
	l := License{
		ID:         newID(),
		CustomerID: n.CustomerID,
		Product:    cmp.Or(n.Product, DefaultProduct),
		GroupID:    n.GroupID,
		Terms:      DefaultTerms(),
		IsActive:   true,
		IsTest:     n.IsTest,
		Metadata:   n.Metadata,
		Version:    1,
		CreatedAt:  now,
		UpdatedAt:  now,
	}
	if len(l.Metadata) == 0 {
		l.Metadata = json.RawMessage("{}") // not null: an answer kept as JSON must read back as it was
	}
	problems := l.problems()
	n.TermsChange.problems(problems)
	if problem := l.takePolicy(policy, n.Product, now); problem != "" {
		problems["policy"] = problem
	}
	change := l.overPolicy(n.TermsChange)
	before := l.Terms
	l.applyTerms(&change, now)
	l.contradictions(problems, &before)
	if len(l.AllEntitlements()) > maxEntitlements {
		problems["entitlements"] = fmt.Sprintf("must be at most %d, those of the policy included", maxEntitlements)
	}
	key, problem := n.key()
	if problem != "" {
		problems["license_key"] = problem
	}
	if len(problems) > 0 {
		return Created{}, apierr.InvalidFields(problems)
	}
	l.MaskedKey = MaskKey(key)
	return Created{License: l, Key: key}, nil
}

// key is the key brought along or a new one, and what is wrong with it.
func (n *NewLicense) key() (key, problem string) {
	if n.Key == nil {
		return NewKey(), ""
	}
	return importedKey(*n.Key)
}

// problems tells what is wrong with what an administrator wrote about a license, save its terms, by their public names.
func (l *License) problems() map[string]string {
	p := map[string]string{}
	checkText(p, "customer_id", l.CustomerID, true)
	checkText(p, "product", l.Product, false)
	checkGroupID(p, l.GroupID)
	if len(l.Metadata) > maxMetadataBytes {
		p["metadata"] = "must be at most 64 KiB of JSON"
	} else if m := bytes.TrimSpace(l.Metadata); len(m) > 0 && m[0] != '{' {
		p["metadata"] = "must be an object"
	}
	return p
}

// checkText notes what is wrong with an identifier or a name.
func checkText(problems map[string]string, name, value string, required bool) {
	if required && strings.TrimSpace(value) == "" {
		problems[name] = "is required"
	} else if utf8.RuneCountInString(value) > maxText {
		problems[name] = fmt.Sprintf("must have at most %d characters", maxText)
	}
}

// auditView is what the audit log shows of a license, in the form of the public API.
func (l *License) auditView() map[string]any {
	view := l.Terms.View()
	maps.Copy(view, map[string]any{
		"customer_id": l.CustomerID, "product": l.Product, "policy": textValue(l.Policy),
		"group_id": textValue(l.GroupID), "is_active": l.IsActive, "is_test": l.IsTest,
		"metadata": metadataValue(l.Metadata), "deactivation_reason": nil, "version": l.Version,
		"suspended_at": nil, "suspended_until": nil, "suspension_reason": nil,
	})
	if reason := l.LastDeactivation().Reason; reason != "" {
		view["deactivation_reason"] = reason
	}
	if s := l.Suspension; s != nil {
		view["suspended_at"], view["suspended_until"] = timeValue(s.At), timeValue(s.Until)
		view["suspension_reason"] = s.Reason
	}
	return view
}

// metadataValue is the metadata as it stands, to the last digit of its numbers. What is no JSON, as when there is none,
// shows as {}.
func metadataValue(m json.RawMessage) json.RawMessage {
	if !json.Valid(m) {
		return json.RawMessage("{}")
	}
	return m
}

func timeValue(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}
