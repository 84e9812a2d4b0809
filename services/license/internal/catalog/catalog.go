// Package catalog holds the rules of what a vendor sells: products with their releases, and policies, which are named
// terms for licenses. It knows neither HTTP nor SQL nor the bus, and keeps its state behind the ports of ports.go.
package catalog

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Bounds of what an administrator may write.
const (
	maxName          = 255
	maxVersion       = 64
	maxURL           = 2048
	maxBundle        = 50
	maxMetadataBytes = 64 << 10
)

var codeForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// IsCode reports whether a text may be the code of a product or policy.
func IsCode(text string) bool { return codeForm.MatchString(text) && text != "." && text != ".." }

// checkCode notes what is wrong with the code of something to be made.
func checkCode(problems map[string]string, code string) {
	if code == "" {
		problems["code"] = "is required"
	} else if !IsCode(code) {
		problems["code"] = "must have 1 to 64 of the characters A-Z a-z 0-9 . _ -"
	}
}

// checkText notes a text with more than most characters.
func checkText(problems map[string]string, name, value string, most int) {
	if utf8.RuneCountInString(value) > most {
		problems[name] = fmt.Sprintf("must have at most %d characters", most)
	}
}

// checkName notes a name that is wrong; without one the code stands for it.
func checkName(problems map[string]string, name string) {
	if _, noCode := problems["code"]; !noCode && strings.TrimSpace(name) == "" {
		problems["name"] = "must not be empty"
	}
	checkText(problems, "name", name, maxName)
}

func set[T any](member *T, value *T) {
	if value != nil {
		*member = *value
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// audited is an entry of the audit log about something that is no license.
func audited(by *licensing.Actor, action string, before, after map[string]any) proto.Message {
	return audit.Entry(by, action, before, after)
}

// object is a JSON object as it was sent, or an empty one.
func object(m json.RawMessage) json.RawMessage {
	if len(m) == 0 {
		return json.RawMessage("{}")
	}
	return m
}
