// Package erasure is the contract of erasing a customer: what of events and audit entries tells of a person. The
// services that keep them clean their own by it.
package erasure

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Rule says what is erased: the id of a customer, and in what is about its licenses what tells of persons. It does not
// hold the id, but a salted hash.
type Rule struct {
	// CustomerID takes the place of the id that the customer had.
	CustomerID string
	// Previous is the hash of that id with Salt, in hexadecimal.
	Salt, Previous string
	At             time.Time
}

// New is the rule for a customer whose id is to become another.
func New(previous, customerID string, at time.Time) Rule {
	salt := rand.Text()
	return Rule{CustomerID: customerID, Salt: salt, Previous: hash(salt, previous), At: at}
}

// RuleOf is the rule that an event tells.
func RuleOf(m *eventsv1.CustomerErased) Rule {
	return Rule{CustomerID: m.GetErasedAs(), Salt: m.GetSalt(), Previous: m.GetPrevious(), At: m.GetErasedAt().AsTime()}
}

func hash(salt, text string) string {
	sum := sha256.Sum256([]byte(salt + "\x00" + text))
	return hex.EncodeToString(sum[:])
}

// IsPrevious reports whether a text is the id that the customer had.
func (r *Rule) IsPrevious(text string) bool { return hash(r.Salt, text) == r.Previous }

// personal are the members that tell of persons wherever they stand.
var personal = map[string]bool{
	"device_name": true, "label": true, "variables": true, "session_id": true, "session_data": true, "ip": true,
	"metadata": true,
	"reason":   true, "suspension_reason": true, "deactivation_reason": true, "email": true, "phone": true,
	"company": true,
	"address": true, "network": true, "evidence": true, "observed": true, "considered": true, "note": true,
}

// documents are the members whose text is JSON itself.
var documents = map[string]bool{"before_json": true, "after_json": true}

// Slack is for how long after an erasure the former id may be that of the erased customer: clocks differ, and caches
// hold it for seconds. Later it is that of a new customer, which was made with the same id.
const Slack = time.Minute

// Concerns reports whether what happened at a time can name the erased customer by the former id.
func (r *Rule) Concerns(at time.Time) bool { return !at.After(r.At.Add(Slack)) }

// Rename returns JSON of what happened at a time with the customer's new id wherever the old one stood, and whether it
// did.
func (r *Rule) Rename(data []byte, at time.Time) ([]byte, bool) {
	if !r.Concerns(at) {
		return data, false
	}
	return r.clean(data, false)
}

// Apply is Rename of what is about the customer, and empties the members that tell of persons in what happened up to
// the erasure: what came later is about a new person, or new consent. Who made a change (actor) stays.
func (r *Rule) Apply(data []byte, at time.Time) ([]byte, bool) {
	if at.After(r.At) {
		return r.Rename(data, at)
	}
	return r.clean(data, true)
}

func (r *Rule) clean(data []byte, persons bool) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return data, false
	}
	c := cleaner{rule: r, persons: persons}
	if value = c.value("", value); !c.changed {
		return data, false
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(value) != nil {
		return data, false
	}
	return bytes.TrimSpace(out.Bytes()), true
}

// cleaner walks one document.
type cleaner struct {
	rule    *Rule
	persons bool
	changed bool
}

func (c *cleaner) value(name string, value any) any {
	if c.persons && personal[name] {
		return c.empty(value)
	}
	switch v := value.(type) {
	case string:
		return c.text(name, v)
	case []any:
		for i := range v {
			v[i] = c.value("", v[i])
		}
	case map[string]any:
		isPerson := hasAny(v, "email", "user_id")
		for member := range v {
			switch {
			case member == "actor":
			case c.persons && isPerson && member == "name":
				v[member] = c.empty(v[member])
			default:
				v[member] = c.value(member, v[member])
			}
		}
	}
	return value
}

func hasAny(members map[string]any, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { _, has := members[name]; return has })
}

func (c *cleaner) text(name, text string) any {
	if documents[name] {
		cleaned, changed := c.rule.clean([]byte(text), c.persons)
		c.changed = c.changed || changed
		return string(cleaned)
	}
	if text == "" || !c.rule.IsPrevious(text) {
		return text
	}
	c.changed = true
	return c.rule.CustomerID
}

// empty is nothing of the same type.
func (c *cleaner) empty(value any) any {
	var empty any
	switch v := value.(type) {
	case string:
		if v == "" {
			return v
		}
		empty = ""
	case []any:
		if len(v) == 0 {
			return v
		}
		empty = []any{}
	case map[string]any:
		if len(v) == 0 {
			return v
		}
		empty = map[string]any{}
	default:
		return value
	}
	c.changed = true
	return empty
}
