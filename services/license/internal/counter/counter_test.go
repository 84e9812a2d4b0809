package counter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func number(n int64) *int64 { return &n }

// books is a ledger on which pc and laptop are activated.
func books(counters ...licensing.CounterTerms) *Ledger {
	l := &Ledger{Counters: map[string]Counter{}, Parts: map[Device]Part{}, Operations: map[string]*Operation{}}
	l.License = licensing.License{ID: "l", IsActive: true, CreatedAt: noon.AddDate(0, -3, 0)}
	l.License.MaxDevices, l.License.Timezone, l.License.Counters = 2, "UTC", counters
	l.Devices = map[string]*licensing.Device{}
	for _, id := range []string{"pc", "laptop"} {
		l.Devices[id] = &licensing.Device{ID: id, LicenseID: "l", HardwareID: id, IsActive: true}
	}
	return l
}

func (l *Ledger) take(name string, amount int64, now time.Time) (State, error) {
	done, err := l.consume(licensing.Caller{Client: &licensing.Client{HardwareID: "pc"}},
		Use{Amounts: map[string]int64{name: amount}}, now)
	if err != nil {
		return State{}, err
	}
	return done.States[0], nil
}

func (s State) String() string {
	remaining := "any"
	if s.Remaining != nil {
		remaining = fmt.Sprint(*s.Remaining)
	}
	return fmt.Sprintf("%d used, %s left, %d over", s.Used, remaining, s.OverageUsed)
}

// TestRoom walks a counter to its bounds and past them.
func TestRoom(t *testing.T) {
	for name, tc := range map[string]struct {
		limit, overage *int64
		negative       bool
		amounts        []int64
		want           string // the state after the last amount that was counted, and a minus for each that was refused
	}{
		"to the limit":     {number(5), number(0), false, []int64{3, 2}, "5 used, 0 left, 0 over"},
		"past the limit":   {number(5), number(0), false, []int64{3, 3, 2}, "-5 used, 0 left, 0 over"},
		"all or nothing":   {number(5), number(0), false, []int64{6}, "-0 used, 5 left, 0 over"},
		"into the overage": {number(5), number(2), false, []int64{4, 3}, "7 used, 0 left, 2 over"},
		"past the overage": {number(5), number(2), false, []int64{4, 3, 1}, "-7 used, 0 left, 2 over"},
		"any overage":      {number(5), nil, false, []int64{1000}, "1000 used, 0 left, 995 over"},
		"unlimited":        {nil, number(0), false, []int64{1000}, "1000 used, any left, 0 over"},
		"no limit at all":  {number(0), number(0), false, []int64{1, 0}, "-0 used, 0 left, 0 over"},
		"the largest number": {nil, nil, false, []int64{licensing.MaxCount, 1, 0},
			"-9007199254740991 used, any left, 0 over"},
		"large limit and overage": {number(licensing.MaxCount), number(licensing.MaxCount), false,
			[]int64{licensing.MaxCount, 1}, "-9007199254740991 used, 0 left, 0 over"},
		"no giving back":            {number(5), number(0), false, []int64{3, -1}, "-3 used, 2 left, 0 over"},
		"giving back":               {number(5), number(0), true, []int64{3, -1}, "2 used, 3 left, 0 over"},
		"giving back more than all": {number(5), number(0), true, []int64{3, -10, 5}, "5 used, 0 left, 0 over"},
	} {
		t.Run(name, func(t *testing.T) {
			l := books(licensing.CounterTerms{
				Name:          "c",
				Limit:         tc.limit,
				Overage:       tc.overage,
				AllowNegative: tc.negative,
			})
			refused := ""
			for _, amount := range tc.amounts {
				if _, err := l.take("c", amount, noon); err != nil {
					refused += "-"
				}
			}
			last, err := l.take("c", 0, noon)
			if got := refused + last.String(); err != nil || got != tc.want {
				t.Errorf("%s (%v), want %s", got, err, tc.want)
			}
		})
	}
}

// TestALimitBelowWhatIsUsed admits nothing more, and lets ask and give back.
func TestALimitBelowWhatIsUsed(t *testing.T) {
	l := books(licensing.CounterTerms{Name: "c", Limit: number(10), Overage: number(0), AllowNegative: true})
	if _, err := l.take("c", 8, noon); err != nil {
		t.Fatal(err)
	}
	l.License.Counters[0].Limit = number(5)
	for _, step := range []struct {
		amount int64
		want   string
	}{{0, "8 used, 0 left, 3 over"}, {1, "refused"}, {-1, "7 used, 0 left, 2 over"}} {
		got := "refused"
		if state, err := l.take("c", step.amount, noon); err == nil {
			got = state.String()
		}
		if got != step.want {
			t.Errorf("%d: %s, want %s", step.amount, got, step.want)
		}
	}
}

// TestReset: once at each boundary, also with a clock behind that of another process, and never by a refused call.
func TestReset(t *testing.T) {
	l := books(licensing.CounterTerms{
		Name:    "c",
		Limit:   number(5),
		Overage: number(0),
		Reset:   licensing.ResetDaily,
		Anchor:  licensing.AnchorCalendar,
	})
	midnight := time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		now    time.Time
		amount int64
		want   string
	}{
		{noon, 5, "5 used, 0 left, 0 over"},
		{midnight.Add(-1), 1, "refused"},
		{midnight, 6, "refused"},
		{midnight, 2, "2 used, 3 left, 0 over"},
		{midnight.Add(-2 * time.Second), 1, "3 used, 2 left, 0 over"}, // a process whose clock is behind
		{midnight.Add(time.Hour), 1, "4 used, 1 left, 0 over"},
		{midnight.AddDate(0, 0, 14), 1, "1 used, 4 left, 0 over"},
		{midnight.AddDate(0, 0, 1), 1, "2 used, 3 left, 0 over"}, // the jump of a clock that was put right
		{midnight.AddDate(0, 0, 2).Add(-1), 4, "refused"},
		{midnight.AddDate(0, 0, 2), 4, "4 used, 1 left, 0 over"},
		{midnight.AddDate(0, 0, 3), 1, "1 used, 4 left, 0 over"},
		{midnight.AddDate(0, 0, 2), 1, "2 used, 3 left, 0 over"}, // by less than a period: nothing comes back twice
		{midnight.AddDate(0, 0, 3), 1, "3 used, 2 left, 0 over"},
	} {
		got := "refused"
		if state, err := l.take("c", step.amount, step.now); err == nil {
			got = state.String()
		}
		if got != step.want {
			t.Errorf("%d at %s: %s, want %s", step.amount, step.now, got, step.want)
		}
	}
	var ended []int64
	for _, e := range l.Entries {
		ended = append(ended, e.UsedBefore)
	}
	if fmt.Sprint(ended) != "[5 4 2 4]" {
		t.Errorf("periods ended with %v", ended)
	}
}

// TestOtherTermsKeepTheNumber: a new schedule moves the end of the period and takes nothing away.
func TestOtherTermsKeepTheNumber(t *testing.T) {
	l := books(licensing.CounterTerms{
		Name:   "c",
		Limit:  number(5),
		Reset:  licensing.ResetDaily,
		Anchor: licensing.AnchorCalendar,
	})
	if _, err := l.take("c", 3, noon); err != nil {
		t.Fatal(err)
	}
	l.License.Counters[0].Reset = licensing.ResetMonthly
	state, err := l.take("c", 1, noon)
	if err != nil || state.Used != 4 || !state.ResetsAt.Equal(time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%s, resets at %v (%v)", state, state.ResetsAt, err)
	}
	l.License.Timezone = "America/New_York"
	if state, err = l.take("c", 0, noon); err != nil ||
		!state.ResetsAt.Equal(time.Date(2026, 4, 1, 4, 0, 0, 0, time.UTC)) {
		t.Errorf("in New York it resets at %v (%v)", state.ResetsAt, err)
	}
}

// TestThresholds: the highest that a call passes, once in a period, and again only after a fall of five points.
func TestThresholds(t *testing.T) {
	for name, tc := range map[string]struct {
		limit   int64
		amounts []int64
		want    string
	}{
		"one by one":           {100, []int64{79, 1, 1, 9, 10, 1}, "80 90 100 overage"},
		"all at once":          {100, []int64{95}, "90"},
		"to the limit at once": {100, []int64{100}, "100"},
		"beyond at once":       {100, []int64{150, 1}, "overage"},
		"a small fall":         {100, []int64{80, -4, 4}, "80"},
		"a fall of five":       {100, []int64{80, -5, 5}, "80 80"},
		"back from overage":    {100, []int64{101, -5, 5}, "overage"},
		"far from overage":     {100, []int64{101, -6, 6}, "overage overage"},
		"between thresholds":   {100, []int64{95, -10, 10}, "90 90"},
		"nothing to reach":     {0, []int64{0}, ""},
		"overage of nothing":   {0, []int64{1, 1}, "overage"},
		"not of a small limit": {3, []int64{1, 1, 1}, "100"},
	} {
		t.Run(name, func(t *testing.T) {
			l := books(licensing.CounterTerms{Name: "c", Limit: number(tc.limit), AllowNegative: true})
			for _, amount := range tc.amounts {
				if _, err := l.take("c", amount, noon); err != nil {
					t.Fatal(err)
				}
			}
			if got := thresholdsOf(l); got != tc.want {
				t.Errorf("announced %q, want %q", got, tc.want)
			}
		})
	}
}

func thresholdsOf(l *Ledger) string {
	var told []string
	for _, msg := range l.Events() {
		if e, ok := msg.(*eventsv1.LicenseCounterThreshold); ok && e.GetOverage() {
			told = append(told, "overage")
		} else if ok {
			told = append(told, fmt.Sprint(e.GetThreshold()))
		}
	}
	return strings.Join(told, " ")
}

// TestThresholdsOfEachPeriod are announced again.
func TestThresholdsOfEachPeriod(t *testing.T) {
	l := books(licensing.CounterTerms{
		Name:   "c",
		Limit:  number(10),
		Reset:  licensing.ResetDaily,
		Anchor: licensing.AnchorCalendar,
	})
	for day := range 2 {
		if _, err := l.take("c", 9, noon.AddDate(0, 0, day)); err != nil {
			t.Fatal(err)
		}
	}
	if got := thresholdsOf(l); got != "90 90" {
		t.Errorf("announced %q", got)
	}
}

// TestARefusedCallLeavesNothing, also where only the last of several counters has no room.
func TestARefusedCallLeavesNothing(t *testing.T) {
	small := licensing.CounterTerms{Name: "small", Limit: number(1), Overage: number(0), PerDevice: true}
	l := books(licensing.CounterTerms{Name: "large", PerDevice: true}, small)
	for name, tc := range map[string]struct {
		device string
		use    Use
		code   string
	}{
		"no room": {"pc", Use{Amounts: map[string]int64{"large": 1, "small": 2}},
			errcode.ConsumptionLimitExceeded},
		"unknown":       {"pc", Use{Amounts: map[string]int64{"large": 1, "other": 1}}, errcode.CounterNotFound},
		"negative":      {"pc", Use{Amounts: map[string]int64{"large": 1, "small": -1}}, errcode.ValidationError},
		"not activated": {"other", Use{Amounts: map[string]int64{"large": 1}}, errcode.DeviceNotActivated},
		"entitlement": {"pc", Use{Amounts: map[string]int64{"large": 1}, Required: []string{"x"}},
			errcode.EntitlementMissing},
	} {
		tc.use.OperationID = "o"
		_, err := l.consume(licensing.Caller{Client: &licensing.Client{HardwareID: tc.device}}, tc.use, noon)
		if got := apierr.From(err); got == nil || got.Code != tc.code {
			t.Errorf("%s: %v, want %s", name, err, tc.code)
		}
		if len(l.Counters)+len(l.Parts)+len(l.Operations)+len(l.Entries)+len(l.Events()) > 0 || l.consumed != nil {
			t.Errorf("%s left %+v", name, l)
		}
	}
}

// TestPartsOfDevices are kept beside the sum, and start again with it.
func TestPartsOfDevices(t *testing.T) {
	l := books(licensing.CounterTerms{
		Name:      "c",
		Reset:     licensing.ResetDaily,
		Anchor:    licensing.AnchorCalendar,
		PerDevice: true,
	})
	take := func(device string, amount int64, now time.Time) string {
		done, err := l.consume(licensing.Caller{Client: &licensing.Client{HardwareID: device}},
			Use{Amounts: map[string]int64{"c": amount}}, now)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(done.States[0].Used, " of which ", *done.States[0].DeviceUsed)
	}
	got := []string{take("pc", 3, noon), take("laptop", 2, noon), take("pc", 1, noon),
		take("laptop", 1, noon.AddDate(0, 0, 1))}
	if want := "[3 of which 3 5 of which 2 6 of which 4 1 of which 1]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// TestEntitlements: consumption of one, or of a counter that one names, needs it to be granted.
func TestEntitlements(t *testing.T) {
	l := books(licensing.CounterTerms{Name: "c"}, licensing.CounterTerms{Name: "free"})
	l.License.Entitlements = []licensing.Entitlement{
		{Code: "old", Counter: "c", ExpiresAt: noon}, {Code: "new", Counter: "c", ExpiresAt: noon.Add(time.Hour)},
		{Code: "no counter", Name: "x"},
	}
	l.License.Features = []string{"no counter", "bare"}
	for name, tc := range map[string]struct {
		use  Use
		now  time.Time
		code string
	}{
		"granted":              {Use{Entitlement: "new", Amount: 1}, noon, ""},
		"expired":              {Use{Entitlement: "old", Amount: 1}, noon, errcode.EntitlementExpired},
		"in its last moment":   {Use{Entitlement: "old", Amount: 1}, noon.Add(-1), ""},
		"missing":              {Use{Entitlement: "x", Amount: 1}, noon, errcode.EntitlementMissing},
		"without a counter":    {Use{Entitlement: "no counter", Amount: 1}, noon, errcode.CounterNotFound},
		"bare":                 {Use{Entitlement: "bare", Amount: 1}, noon, errcode.CounterNotFound},
		"counter of a granted": {Use{Amounts: map[string]int64{"c": 1}}, noon, ""},
		"counter of expired ones": {Use{Amounts: map[string]int64{"c": 1}}, noon.Add(time.Hour),
			errcode.EntitlementExpired},
		"counter of none": {Use{Amounts: map[string]int64{"free": 1}}, noon.Add(time.Hour), ""},
	} {
		code := ""
		if _, err := l.consume(licensing.Caller{Client: &licensing.Client{HardwareID: "pc"}}, tc.use,
			tc.now); err != nil {
			code = apierr.From(err).Code
		}
		if code != tc.code {
			t.Errorf("%s: %q, want %q", name, code, tc.code)
		}
	}
}
