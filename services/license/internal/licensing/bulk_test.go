package licensing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
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

// many are reads that find so many licenses.
type many struct {
	Reads
	n int
}

func (m many) LicenseIDs(_ context.Context, _ Filter, _ time.Time, limit int) ([]string, error) {
	return make([]string, min(m.n, limit)), nil
}

// TestABulkChangeIsAboutTenThousand at most, and says how to go on where there are more.
func TestABulkChangeIsAboutTenThousand(t *testing.T) {
	for n, refused := range map[int]bool{MaxBulk: false, MaxBulk + 1: true} {
		s := Licenses{Reads: many{n: n}, Clock: clock.NewFake(noon)}
		byFilter, err := s.Select(t.Context(), Filter{})
		if (err != nil) != refused || err == nil && len(byFilter) != n {
			t.Errorf("%d by a filter: %d, %v", n, len(byFilter), err)
		}
		ofPolicy, err := s.SelectOfPolicy(t.Context(), "pro")
		if (err != nil) != refused || err == nil && len(ofPolicy) != n {
			t.Errorf("%d of a policy: %d, %v", n, len(ofPolicy), err)
		}
		var said *apierr.Error
		if refused && (!errors.As(err, &said) || !strings.Contains(fmt.Sprint(said.Details), "/licenses/bulk")) {
			t.Errorf("of a policy: %v", err)
		}
	}
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
