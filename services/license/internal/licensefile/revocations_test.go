package licensefile

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// TestALargeListIsWarnedOfOnce: from half of what machines read on, once for each number.
func TestALargeListIsWarnedOfOnce(t *testing.T) {
	var logged bytes.Buffer
	s := Revocations{Log: slog.New(slog.NewTextHandler(&logged, nil))}
	warned := func(number int64, bytes, want int) {
		t.Helper()
		s.watchSize(number, bytes)
		if got := strings.Count(logged.String(), "level=WARN"); got != want {
			t.Errorf("%d warnings after list %d of %d bytes, want %d", got, number, bytes, want)
		}
	}
	warned(1, file.MaxListSize/2, 0)
	warned(2, file.MaxListSize/2+1, 1)
	warned(2, file.MaxListSize/2+1, 1)
	warned(3, file.MaxListSize, 2)
}
