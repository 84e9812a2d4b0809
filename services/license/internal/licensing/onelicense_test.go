package licensing

import (
	"context"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// oneLicense is a store of one license. As the real one does, it writes nothing where the decision fails.
type oneLicense struct {
	Store
	License
	now    time.Time // zero: noon
	events []proto.Message
}

func (s *oneLicense) licenses() *Licenses {
	if s.now.IsZero() {
		s.now = noon
	}
	return &Licenses{Store: s, Clock: clock.NewFake(s.now)}
}

func (s *oneLicense) Change(_ context.Context, _ string, _ []string, decide func(*Change) error) error {
	ch := &Change{License: s.License, Devices: map[string]*Device{}}
	if err := decide(ch); err != nil {
		return err
	}
	s.License, s.events = ch.License, append(s.events, ch.Events()...)
	return nil
}

// event takes the one event that was told, which an audit entry of this action follows.
func (s *oneLicense) event(t *testing.T, action string) proto.Message {
	t.Helper()
	told := s.events
	s.events = nil
	if len(told) != 2 || told[1].(*eventsv1.AuditRecorded).GetAction() != action {
		t.Fatalf("told %v, want one event and %s", told, action)
	}
	return told[0]
}

func (s *oneLicense) unchanged(t *testing.T, before License) {
	t.Helper()
	if !reflect.DeepEqual(before, s.License) || len(s.events) != 0 {
		t.Errorf("a refusal made %+v of %+v and told %v", s.License, before, s.events)
	}
}
