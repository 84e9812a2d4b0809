package detect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// story is a scenario and what the engine must make of it. An honest one wants nothing.
type story struct {
	name string
	play func() *scenario
	want map[Kind]Severity
	// number must appear in the reason of the last finding.
	number string
}

func tell(t *testing.T, stories []story) {
	for _, s := range stories {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			sc := s.play()
			obs := sc.ordered()
			found := play(New(), sc.license, obs)
			if diff := cmp.Diff(s.want, worst(found), cmpEmpty); diff != "" {
				t.Fatalf("kinds (-want +got):\n%s\n%s", diff, reasons(found))
			}
			for _, f := range found {
				checkFinding(t, f, obs)
			}
			if len(found) > 0 && !strings.Contains(found[len(found)-1].Reason, s.number) {
				t.Errorf("reason %q lacks %q", found[len(found)-1].Reason, s.number)
			}
		})
	}
}

// cmpEmpty takes a nil map and an empty one as equal.
var cmpEmpty = cmp.Transformer("sorted", func(m map[Kind]Severity) []string {
	out := []string{}
	for k, v := range m {
		out = append(out, string(k)+" "+string(v))
	}
	slices.Sort(out)
	return out
})

func reasons(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s %s %.2f %s | %s\n", f.DetectedAt.Format(time.DateTime), f.Status, f.Severity, f.Score,
			f.Type, f.Reason)
	}
	return b.String()
}

func TestTestLicensesStayLow(t *testing.T) {
	s := passedAround(1, 10, 3, far)
	s.license.IsTest = true
	if got := worst(play(New(), s.license, s.ordered())); got[DeviceChurn] != SeverityLow || len(got) != 1 {
		t.Errorf("kinds %v, want device_churn low", got)
	}
}
