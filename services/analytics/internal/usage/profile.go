package usage

import (
	"math"
	"slices"
)

const (
	// minHistory is how many earlier values it takes before anything is called expected.
	minHistory = 7
	// madToSigma turns the median absolute deviation of a normal sample into its standard deviation.
	madToSigma = 1.4826
	bandWidth  = 3
)

// Expectation is what a subject's own history lets one expect of a count; all members are null while there is too
// little of it.
type Expectation struct {
	Expected *float64 `json:"expected"`
	Low      *float64 `json:"low"`
	High     *float64 `json:"high"`
}

// expect takes the median of earlier counts, and a band around it that neither one outlier nor the noise of small
// counts moves.
func expect(history []float64) Expectation {
	if len(history) < minHistory {
		return Expectation{}
	}
	middle := median(history)
	deviations := make([]float64, len(history))
	for i, v := range history {
		deviations[i] = math.Abs(v - middle)
	}
	spread := max(madToSigma*median(deviations), math.Sqrt(middle), 1)
	value, low, high := round(middle, 2), round(max(0, middle-bandWidth*spread), 2), round(middle+bandWidth*spread, 2)
	return Expectation{&value, &low, &high}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}
