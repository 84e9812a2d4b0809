//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is one figure of the report, with a value per round.
type row struct {
	Name string `json:"name"`
	// Unit is empty for a ratio.
	Unit string `json:"unit,omitempty"`
	// Floor is what must be reached and Aim what should be; nil: the row only informs.
	Floor *float64 `json:"floor,omitempty"`
	Aim   *float64 `json:"aim,omitempty"`
	// AtMost turns both around: small is good.
	AtMost bool      `json:"at_most,omitempty"`
	Values []float64 `json:"values"`
	Median float64   `json:"median"`
}

func (r *row) add(v float64) { r.Values = append(r.Values, v) }

// count adds to the one value of a row that is a total: a median would hide a single bad round.
func (r *row) count(n int) {
	if len(r.Values) == 0 {
		r.add(0)
	}
	r.Values[0] += float64(n)
}

func (r *row) median() float64 {
	if len(r.Values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.Values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

func (r *row) reaches(goal *float64) bool {
	if r.AtMost {
		return r.median() <= *goal
	}
	return r.median() >= *goal
}

func (r *row) verdict() string {
	switch {
	case r.Floor != nil && !r.reaches(r.Floor):
		return "MISSED"
	case r.Aim != nil && !r.reaches(r.Aim):
		return "below aim"
	case r.Floor != nil || r.Aim != nil:
		return "ok"
	}
	return ""
}

// report is everything that was measured.
type report struct {
	Machine string `json:"machine"`
	Rows    []*row `json:"rows"`
}

func newReport() *report {
	load, _ := os.ReadFile("/proc/loadavg") // empty elsewhere
	return &report{Machine: strings.TrimSpace(fmt.Sprintf("%s, %s/%s, %d CPUs, load at the start %s",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), firstWord(string(load))))}
}

func firstWord(s string) string {
	first, _, _ := strings.Cut(s, " ")
	return first
}

// ratio adds a row that is held to goals, info one that is not; both are filled by add.
func (p *report) ratio(name string, floor, aim float64) *row {
	return p.row(&row{Name: name, Floor: &floor, Aim: &aim})
}

func (p *report) info(name, unit string) *row { return p.row(&row{Name: name, Unit: unit}) }

// atMost adds a row of which small values are good.
func (p *report) atMost(r row) *row {
	r.AtMost = true
	return p.row(&r)
}

func (p *report) row(r *row) *row {
	p.Rows = append(p.Rows, r)
	return r
}

// missed reports whether a floor was missed or never measured.
func (p *report) missed() bool {
	return slices.ContainsFunc(p.Rows, func(r *row) bool {
		return r.Floor != nil && (len(r.Values) == 0 || !r.reaches(r.Floor))
	})
}

func (p *report) writeJSON(w io.Writer) error {
	for _, r := range p.Rows {
		r.Median = r.median()
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(p)
}

func (p *report) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%s\n\n", p.Machine)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "measured\tmedian\tmin - max\tfloor\taim\t")
	for _, r := range p.Rows {
		if len(r.Values) == 0 {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s - %s\t%s\t%s\t%s\n", r.Name, r.show(r.median()), r.show(slices.Min(r.Values)),
			r.show(slices.Max(r.Values)), r.goal(r.Floor), r.goal(r.Aim), r.verdict())
	}
	return t.Flush()
}

func (r *row) show(v float64) string {
	format := "%.2f"
	if v >= 100 {
		format = "%.0f"
	}
	return strings.TrimSpace(fmt.Sprintf(format+" %s", v, r.Unit))
}

func (r *row) goal(v *float64) string {
	if v == nil {
		return ""
	}
	return r.show(*v)
}
