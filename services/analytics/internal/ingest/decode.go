package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

const (
	// maxText is the longest text, in characters, that the suite's API lets in; more is cut off.
	maxText = 255
	// maxAhead is how far ahead of us the clock of a sender may be.
	maxAhead = 24 * time.Hour
)

// decode reads what analytics uses of an event. It refuses what could never be stored; a member that is missing is empty.
func decode(e event.Event, now time.Time) (usage.Event, error) {
	u := usage.Event{ID: strings.ToLower(e.ID), Type: e.Type, At: e.Time.UTC().Truncate(time.Microsecond), Data: e.Data}
	if err := checkStorable(e, now); err != nil {
		return u, fmt.Errorf("event %s of type %.64q: %w", e.ID, e.Type, err)
	}
	if err := readBody(&u); err != nil {
		return u, fmt.Errorf("event %s of type %.64q: %w", e.ID, e.Type, err)
	}
	u.Data = withoutSessionData(u.Data)
	return u, nil
}

// withoutSessionData is the data of a heartbeat without what the device said of its session: that is the vendor's, may be 4 KiB each time, and
// the license service keeps the last of each device. The log keeps what analytics uses.
func withoutSessionData(data []byte) []byte {
	if !bytes.Contains(data, []byte(`"session_data"`)) {
		return data
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return data
	}
	delete(members, "session_data")
	rest, err := json.Marshal(members)
	if err != nil {
		return data
	}
	return rest
}

// readBody reads the members from the data.
func readBody(u *usage.Event) error {
	b := &u.Body
	if !plainBody(u.Data, b) {
		*b = usage.Body{}
		if err := json.Unmarshal(u.Data, b); err != nil {
			return err
		}
	}
	if b.LicenseID != "" {
		id, err := uuid.Parse(b.LicenseID)
		if err != nil {
			return fmt.Errorf("license_id is no UUID: %w", err)
		}
		b.LicenseID = id.String()
	}
	for _, text := range []*string{&b.HardwareID, &b.FromHardwareID, &b.ToHardwareID, &b.DeviceName, &b.OS, &b.AppVersion, &b.SessionID,
		&b.IP, &b.Country, &b.NetKind, &b.ErrorCode, &b.Reason, &b.By, &b.KeyHash, &b.CustomerID, &b.Product, &b.LicenseType} {
		if strings.ContainsRune(*text, 0) { // no text column of PostgreSQL takes it
			return errors.New("a text holds a NUL character")
		}
		*text = cut(*text)
	}
	return nil
}

func checkStorable(e event.Event, now time.Time) error {
	switch {
	case uuid.Validate(e.ID) != nil || len(e.ID) != 36:
		return errors.New("the id is no UUID")
	case e.Time.Year() < 2000:
		return errors.New("it happened before there was anything to happen")
	case e.Time.After(now.Add(maxAhead)):
		return errors.New("it lies in the future; check the clock of its sender")
	case strings.ContainsRune(e.Type, 0):
		return errors.New("the type holds a NUL character")
	case !utf8.Valid(e.Data):
		return errors.New("the data is not UTF-8")
	}
	return nil
}

// cut shortens text to maxText characters.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := 0
	for i := range s {
		if n++; n > maxText {
			return strings.Clone(s[:i])
		}
	}
	return s
}
