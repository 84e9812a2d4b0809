package store

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// TestAnOutageIsLoggedTwice: when it begins and when it is over, not every two seconds. What is lost is logged each
// time.
func TestAnOutageIsLoggedTwice(t *testing.T) {
	var logged bytes.Buffer
	s := Seen{log: slog.New(slog.NewTextHandler(&logged, nil))}
	broken := errors.New("broken")
	for _, err := range []error{
		nil, apierr.ErrUnavailable, apierr.ErrUnavailable, apierr.ErrUnavailable, nil, nil, broken, broken, nil,
		apierr.ErrUnavailable,
	} {
		if away := s.report(t.Context(), 7, err); away != errors.Is(err, apierr.ErrUnavailable) {
			t.Errorf("away is %v after %v", away, err)
		}
	}
	var lines []string
	for line := range strings.Lines(logged.String()) {
		level, _, _ := strings.Cut(strings.SplitAfter(line, "level=")[1], " ")
		lines = append(lines, level)
	}
	if got := strings.Join(lines, " "); got != "WARN INFO WARN WARN WARN" {
		t.Errorf("%s\n%s", got, logged.String())
	}
}
