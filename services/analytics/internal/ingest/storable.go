package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/decode"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

// maxAhead is how far ahead of us the clock of a sender may be.
const maxAhead = 24 * time.Hour

// trustedAhead is how far it may be for the times of its events to be believed. Others happened when they came: the
// detectors' time is that of events, and would stand still until ours has come so far.
const trustedAhead = 5 * time.Minute

// read decodes an event of the bus. It refuses what could never be stored.
func read(e event.Event, now time.Time) (usage.Event, error) {
	u := usage.Event{Data: withoutSessionData(e.Data)}
	u.EventID, u.Type, u.At = strings.ToLower(e.ID), e.Type, e.Time.UTC().Truncate(time.Microsecond)
	if err := checkStorable(e, now); err != nil {
		return u, fmt.Errorf("event %s of type %.64q: %w", e.ID, e.Type, err)
	}
	if u.At.After(now.Add(trustedAhead)) {
		u.At = now.UTC().Truncate(time.Microsecond)
	}
	if err := decode.Event(&u); err != nil {
		return u, fmt.Errorf("event %s of type %.64q: %w", e.ID, e.Type, err)
	}
	return u, nil
}

// withoutSessionData is the data of a heartbeat without what the device said of its session: that is the vendor's,
// may be 4 KiB each time, and the license service keeps the last of each device. What is stored is what analytics uses.
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

func checkStorable(e event.Event, now time.Time) error {
	switch {
	case !uid.Is(e.ID):
		return errors.New("the id is not a UUID")
	case e.Time.Year() < 2000:
		return errors.New("its time is before the year 2000")
	case e.Time.After(now.Add(maxAhead)):
		return errors.New("it lies in the future; check the clock of its sender")
	case strings.ContainsRune(e.Type, 0):
		return errors.New("the type holds a NUL character")
	case !utf8.Valid(e.Data):
		return errors.New("the data is not UTF-8")
	}
	return nil
}
