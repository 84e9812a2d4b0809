package licensing

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// found are reads that note which license was asked for.
type found struct {
	Reads
	notes *[]string
}

func (f found) Find(_ context.Context, id string) (License, error) {
	*f.notes = append(*f.notes, "found "+id)
	return License{ID: id, Terms: DefaultTerms()}, nil
}

// Each license is told of before the next is read: nobody holds thousands of them, before and after.
func TestABulkTrialHoldsOneLicense(t *testing.T) {
	var notes []string
	s := Licenses{Reads: found{notes: &notes}, Clock: clock.NewFake(noon)}
	err := s.Try(t.Context(), nil, []string{"a", "b"}, func(ch *Change, _ *Actor, _ time.Time) error {
		ch.License.MaxDevices = 7
		return nil
	}, func(r BulkResult) {
		if r.Refusal != nil || r.After["max_devices"] != 7 {
			t.Errorf("%+v", r)
		}
		notes = append(notes, "told "+r.LicenseID)
	})
	if want := []string{"found a", "told a", "found b", "told b"}; err != nil || !slices.Equal(notes, want) {
		t.Errorf("%v %v", notes, err)
	}
}
