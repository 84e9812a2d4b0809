package detect

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Weighted is one stored finding as the risk score sees it.
type Weighted struct {
	Type Kind
	// Strength is the finding's score, 0 to 1.
	Strength float64
	// LastSeen is the time of its latest evidence; age counts from there.
	LastSeen time.Time
	// Feedback multiplies the weight: 1 without feedback, 0 takes a false positive out. Feedback() computes it for a
	// rule with a history.
	Feedback  float64
	Reason    string
	AnomalyID string
}

// Score is a license's risk.
type Score struct {
	// Value is from 0 to 100.
	Value int
	// Level is "low" (0-24), "guarded" (25-49), "high" (50-74) or "critical" (75-100).
	Level string
	// Probability is from 0 to 1.
	Probability float64
	// Factors add up to Value, the largest first. One that rounds to no point is kept with 0 points.
	Factors []Factor
}

// Factor is one kind's share of a score.
type Factor struct {
	Type Kind
	// Points is the share of Score.Value.
	Points int
	// Weight is that of the kind with feedback.
	Weight   float64
	Strength float64
	// AgeHours and HalfLifeDays say how much time has taken away.
	AgeHours     float64
	HalfLifeDays float64
	Reason       string
	AnomalyID    string
	// doubt is -ln(1 - evidence). Pieces of evidence are combined by adding these logarithms.
	doubt float64
}

// maxEvidence keeps one kind from certainty.
const maxEvidence = 0.99

// halfLife is how fast evidence fades.
const halfLife = 14 * 24 * time.Hour

// weightOf is how much a finding of full strength says of abuse. The weight of a kind stands in the file of its
// detector (detectors.go lists them); one that no detector finds any more gets 0.3.
func weightOf(k Kind) float64 {
	if d := detectorOf(k); d != nil {
		return d.weight
	}
	return 0.3
}

// Feedback is the multiplier for a rule that was confirmed and called a false positive so many times for a license:
// between 0.2 and 1.5, 1 when both are equal.
func Feedback(confirmed, falsePositives int) float64 {
	return min(max(float64(1+confirmed)/float64(1+falsePositives), 0.2), 1.5)
}

// Risk combines findings into a score as of at: evidence e = weight x feedback x strength x 2^(-age/half-life), the
// strongest of each kind only, p = 1 - product(1 - e). Findings first seen after at have a negative age and are left
// out.
func Risk(findings []Weighted, at time.Time) Score {
	var factors []Factor
	for _, w := range findings {
		f, ok := factor(w, at)
		if !ok {
			continue
		}
		i := slices.IndexFunc(factors, func(g Factor) bool { return g.Type == f.Type })
		switch {
		case i < 0:
			factors = append(factors, f)
		case f.doubt > factors[i].doubt:
			factors[i] = f
		}
	}
	slices.SortFunc(factors, func(a, b Factor) int {
		return cmp.Or(cmp.Compare(b.doubt, a.doubt), cmp.Compare(a.Type, b.Type))
	})
	sum := 0.0
	for _, f := range factors {
		sum += f.doubt
	}
	s := Score{Probability: 1 - math.Exp(-sum), Factors: factors}
	s.Value = int(math.Round(100 * s.Probability))
	s.Level = Level(s.Value)
	share(s.Factors, s.Value, sum)
	return s
}

func factor(w Weighted, at time.Time) (Factor, bool) {
	age := at.Sub(w.LastSeen)
	weight := weightOf(w.Type) * w.Feedback
	e := min(weight*w.Strength*math.Exp2(-age.Hours()/halfLife.Hours()), maxEvidence)
	f := Factor{
		Type: w.Type, Weight: weight, Strength: w.Strength, AgeHours: age.Hours(), HalfLifeDays: halfLife.Hours() / 24,
		Reason: w.Reason, AnomalyID: w.AnomalyID, doubt: -math.Log1p(-e),
	}
	return f, age >= 0 && e > 0
}

// share divides the points among the factors in proportion to their doubt, rounding running sums so that they add up.
func share(factors []Factor, points int, sum float64) {
	given, run := 0, 0.0
	for i := range factors {
		run += factors[i].doubt
		upTo := int(math.Round(float64(points) * min(run/sum, 1)))
		factors[i].Points = upTo - given
		given = upTo
	}
}

// Level names the band of a score.
func Level(value int) string {
	switch {
	case value >= 75:
		return "critical"
	case value >= 50:
		return "high"
	case value >= 25:
		return "guarded"
	}
	return "low"
}
