package docs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	// limitHead and limitRule begin each table of docs/limits.md, limitRow is any other line of it: figures, file and
	// names.
	limitHead = "| what | figure | changed by | decided in |"
	limitRule = "|---|---|---|---|"
	limitRow  = regexp.MustCompile("^\\| [^|]+ \\| ([^|]+) \\| [^|]+ \\| `([^`|]+\\.go)` ([^|]+) \\|$")
	quoted    = regexp.MustCompile("`([^`]+)`")
	figure    = regexp.MustCompile(`^([0-9][0-9,]*(?:\.[0-9]+)?)(?: ([A-Za-z]+))?$`)
)

// ofSize and ofTime are the units that figures may have, in bytes and in seconds. A year is one of 365 days.
var (
	ofSize = map[string]float64{"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	ofTime = map[string]float64{
		"ms": 0.001, "s": 1, "min": 60, "h": 3600, "day": 86400, "days": 86400, "year": 31_536_000, "years": 31_536_000,
	}
)

// TestLimitsAreThoseOfTheCode looks up every figure of docs/limits.md where the page says that it is decided.
func TestLimitsAreThoseOfTheCode(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(repository, "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	code, rows := newSource(t), 0
	for i, line := range strings.Split(string(raw), "\n") {
		if !strings.HasPrefix(line, "|") || line == limitHead || line == limitRule {
			continue
		}
		rows++
		if err := code.checkLimit(line); err != nil {
			t.Errorf("docs/limits.md:%d: %v", i+1, err)
		}
	}
	if rows < 60 {
		t.Errorf("found %d rows, so this test shows little", rows)
	}
}

// checkLimit compares the figures of a row with what its names stand for, in their order.
func (s *source) checkLimit(row string) error {
	m := limitRow.FindStringSubmatch(row)
	if m == nil {
		return fmt.Errorf("cannot be checked: %s", row)
	}
	var decided []value
	for _, name := range quoted.FindAllStringSubmatch(m[3], -1) {
		values, err := s.values(m[2], name[1])
		if err != nil {
			return err
		}
		decided = append(decided, values...)
	}
	figures := quoted.FindAllStringSubmatch(m[1], -1)
	if len(figures) == 0 || len(figures) != len(decided) {
		return fmt.Errorf("%d figures for the %d of %s: %s", len(figures), len(decided), m[2], row)
	}
	for i, v := range decided {
		if err := v.check(figures[i][1]); err != nil {
			return fmt.Errorf("%w: %s", err, row)
		}
	}
	return nil
}

// value is what an expression of the code comes to.
type value struct {
	// number is in nanoseconds for a duration.
	number   float64
	duration bool
	// declared is its name with its comments.
	declared string
}

// check compares a value with a figure of the page by the unit of the figure.
func (v value) check(text string) error {
	m := figure.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("%q is no figure", text)
	}
	said, err := strconv.ParseFloat(strings.ReplaceAll(m[1], ",", ""), 64)
	if err != nil {
		return err
	}
	is, unit := v.number, 1.0
	switch seconds, isTime := ofTime[m[2]]; {
	case isTime:
		unit = seconds
		if is, err = v.seconds(); err != nil {
			return err
		}
	case v.duration:
		return errors.New("a duration needs a unit of time")
	case m[2] != "":
		if unit = ofSize[m[2]]; unit == 0 {
			return fmt.Errorf("%q has an unknown unit", text)
		}
	}
	if want := said * unit; is < want*(1-1e-12) || is > want*(1+1e-12) {
		return fmt.Errorf("the page says %s, the code %v (in bytes, seconds, or as it is)", text, is)
	}
	return nil
}

// unitOf finds the unit of a plain number in its name or comment.
var unitOf = regexp.MustCompile(`(?i)(second|minute|hour|day)s`)

// seconds is the value of a duration, or of a number whose declaration names its unit.
func (v value) seconds() (float64, error) {
	if v.duration {
		return v.number / 1e9, nil
	}
	switch strings.ToLower(unitOf.FindString(v.declared)) {
	case "seconds":
		return v.number, nil
	case "minutes":
		return v.number * ofTime["min"], nil
	case "hours":
		return v.number * ofTime["h"], nil
	case "days":
		return v.number * ofTime["day"], nil
	}
	return 0, fmt.Errorf("no duration, and no unit in its declaration: %q", v.declared)
}
