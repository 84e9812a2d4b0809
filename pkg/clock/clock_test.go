package clock

import (
	"testing"
	"time"
)

func TestEarlierAndLater(t *testing.T) {
	early := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	late, none := early.Add(time.Hour), time.Time{}
	for _, tt := range []struct{ a, b, earlier, later time.Time }{
		{early, late, early, late}, {late, early, early, late},
		{none, late, late, late}, {late, none, late, late}, {none, none, none, none},
	} {
		if got := Earlier(tt.a, tt.b); !got.Equal(tt.earlier) {
			t.Errorf("Earlier(%s, %s) = %s", tt.a, tt.b, got)
		}
		if got := Later(tt.a, tt.b); !got.Equal(tt.later) {
			t.Errorf("Later(%s, %s) = %s", tt.a, tt.b, got)
		}
	}
}
