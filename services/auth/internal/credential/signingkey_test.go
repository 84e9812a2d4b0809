package credential

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Three generations: a signs from the start, b a day later, c two days later; b signed an offline token of ten days.
func generations(t *testing.T) []SigningKey {
	t.Helper()
	var keys []SigningKey
	for i, id := range []string{"a", "b", "c"} {
		from := start.AddDate(0, 0, i)
		k, err := newSigningKey(i+1, from, from)
		if err != nil {
			t.Fatal(err)
		}
		k.ID = id
		keys = append(keys, k)
	}
	keys[1].NeededUntil = start.AddDate(0, 0, 12)
	return keys
}

func TestWhoSignsAndWhoIsPublished(t *testing.T) {
	tests := []struct {
		name      string
		at        time.Time
		signer    string
		published []string
	}{
		{"before anybody's time the first signs", start.Add(-time.Hour), "a", []string{"a", "b", "c"}},
		{"the first", start, "a", []string{"a", "b", "c"}},
		{"just before the second", start.AddDate(0, 0, 1).Add(-time.Microsecond), "a", []string{"a", "b", "c"}},
		{"the second", start.AddDate(0, 0, 1), "b", []string{"a", "b", "c"}},
		{"the last access token of the first, and a day",
			start.AddDate(0, 0, 2).Add(time.Hour), "c", []string{"a", "b", "c"}},
		{"a moment later", start.AddDate(0, 0, 2).Add(time.Hour + time.Microsecond), "c", []string{"b", "c"}},
		{"the offline token of the second, and a day", start.AddDate(0, 0, 13), "c", []string{"b", "c"}},
		{"a moment later again", start.AddDate(0, 0, 13).Add(time.Microsecond), "c", []string{"c"}},
		{"the newest never leaves", start.AddDate(50, 0, 0), "c", []string{"c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys := generations(t)
			if got := signer(keys, tt.at).ID; got != tt.signer {
				t.Errorf("%s signs, want %s", got, tt.signer)
			}
			if diff := cmp.Diff(tt.published, slices.Sorted(maps.Keys(published(keys, tt.at)))); diff != "" {
				t.Errorf("published (-want +got): %s", diff)
			}
		})
	}
}
