package licensing

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// An endless trial policy of before such ones were refused takes other changes; once mended, it cannot become endless
// again.
func TestAnEndlessTrialPolicyThatIsThereChanges(t *testing.T) {
	old := Policy{Code: "old", Terms: DefaultTerms()}
	old.IsTrial = true
	for _, step := range []struct {
		name    string
		change  TermsChange
		refused bool
	}{
		{"seats", TermsChange{MaxDevices: Some(3)}, false},
		{"an end", TermsChange{DurationDays: Some(14)}, false},
		{"no end", TermsChange{DurationDays: Null[int]()}, true},
	} {
		if err := old.Apply(&step.change, time.Time{}); (err != nil) != step.refused ||
			err != nil && apierr.From(err).Kind != apierr.Invalid {
			t.Errorf("%s: %v", step.name, err)
		}
	}
}
