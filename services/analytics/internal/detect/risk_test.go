package detect

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestRisk(t *testing.T) {
	now := day(30, 0)
	at := func(days float64) time.Time { return now.Add(-time.Duration(days * 24 * float64(time.Hour))) }
	for _, tc := range []struct {
		name  string
		in    []Weighted
		value int
		level string
	}{
		{"nothing", nil, 0, "low"},
		{"fresh sharing", []Weighted{{Type: AccountSharing, Strength: 0.8, LastSeen: now, Feedback: 1}}, 60, "high"},
		{"the same a half-life later", []Weighted{{Type: AccountSharing, Strength: 0.8, LastSeen: at(14), Feedback: 1}},
			30, "guarded"},
		{"a kind that nobody finds any more", []Weighted{
			{Type: "impossible_travel", Strength: 0.8, LastSeen: now, Feedback: 1}}, 24, "low"},
		{"strongest of a kind only", []Weighted{
			{Type: SeatOveruse, Strength: 0.4, LastSeen: now, Feedback: 1},
			{Type: SeatOveruse, Strength: 0.8, LastSeen: now, Feedback: 1}}, 44, "guarded"},
		{"two kinds", []Weighted{
			{Type: AccountSharing, Strength: 0.8, LastSeen: now, Feedback: 1},
			{Type: SeatOveruse, Strength: 0.8, LastSeen: now, Feedback: 1}}, 78, "critical"},
		{"a false positive is out", []Weighted{{Type: AccountSharing, Strength: 0.9, LastSeen: now}}, 0, "low"},
		{"the future is out", []Weighted{{Type: AccountSharing, Strength: 0.9, LastSeen: at(-1), Feedback: 1}}, 0,
			"low"},
		{"never certain", []Weighted{{Type: AccountSharing, Strength: 1, LastSeen: now, Feedback: 1.5}}, 99,
			"critical"},
	} {
		got := Risk(tc.in, now)
		if got.Value != tc.value || got.Level != tc.level {
			t.Errorf("%s: %d %s, want %d %s", tc.name, got.Value, got.Level, tc.value, tc.level)
		}
	}
}

func TestRiskFactorsAddUp(t *testing.T) {
	all := []Kind{AccountSharing, SeatOveruse, DeviceChurn, DormantReactivated, KeyEnumeration, "no_longer_found"}
	rng, now := rand.New(rand.NewPCG(5, 6)), day(30, 0)
	for range 500 {
		var in []Weighted
		for range 1 + rng.IntN(8) {
			in = append(in, Weighted{Type: all[rng.IntN(len(all))], Strength: rng.Float64(),
				Feedback: Feedback(rng.IntN(3), rng.IntN(3)),
				LastSeen: now.Add(-time.Duration(rng.Int64N(int64(90 * 24 * time.Hour))))})
		}
		s := Risk(in, now)
		sum := 0
		for _, f := range s.Factors {
			sum += f.Points
			if f.Points < 0 {
				t.Fatalf("negative points: %+v", s)
			}
		}
		if sum != s.Value || s.Value < 0 || s.Value > 100 || math.Abs(s.Probability*100-float64(s.Value)) > 0.5 {
			t.Fatalf("factors give %d, value %d, probability %v", sum, s.Value, s.Probability)
		}
	}
}

func TestLevelsAndFeedback(t *testing.T) {
	for value, want := range map[int]string{
		0:   "low",
		24:  "low",
		25:  "guarded",
		49:  "guarded",
		50:  "high",
		74:  "high",
		75:  "critical",
		100: "critical",
	} {
		if got := Level(value); got != want {
			t.Errorf("Level(%d) = %q, want %q", value, got, want)
		}
	}
	if Feedback(0, 0) != 1 || Feedback(5, 0) != 1.5 || Feedback(0, 1) != 0.5 || Feedback(0, 20) != 0.2 {
		t.Errorf("feedback %v %v %v %v", Feedback(0, 0), Feedback(5, 0), Feedback(0, 1), Feedback(0, 20))
	}
}
