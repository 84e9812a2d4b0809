package appliance

import (
	"context"
	"crypto/ed25519"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

var ada = &audit.Actor{Id: "admin-1", Role: "owner"}

// memory is a store.
type memory struct {
	mu      sync.Mutex
	kept    *Installation
	away    error
	entries int
}

// copied keeps what was read apart from what is kept.
func copied(i *Installation) *Installation {
	if i == nil {
		return nil
	}
	c := *i
	if i.Cloud != nil {
		cloud := *i.Cloud
		c.Cloud = &cloud
	}
	return &c
}

func (m *memory) Installation(context.Context) (*Installation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copied(m.kept), m.away
}

func (m *memory) AddInstallation(_ context.Context, machineID string, _ time.Time) (*Installation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = &Installation{MachineID: machineID, Version: 1}
	}
	return copied(m.kept), m.away
}

func (m *memory) ChangeInstallation(
	_ context.Context, decide func(*Installation) ([]proto.Message, error),
) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := copied(m.kept)
	events, err := decide(i)
	if err = errors.Join(err, m.away); err != nil {
		return err
	}
	i.Version++
	m.kept, m.entries = i, m.entries+len(events)
	return nil
}

func (m *memory) ClaimCheck(_ context.Context, version int, due time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept.Version != version {
		return false, m.away
	}
	m.kept.Version++
	m.kept.Cloud.CheckDue = due
	return true, m.away
}

// server is an upstream: a license with so many seats.
type server struct {
	seats   int
	taken   []string
	failure error
	calls   int
	// sign makes the statement of an answer; nil for none.
	sign func(machineID, nonce string) string
	// delay passes the time that an answer takes.
	delay func()
	// strict refuses to free seats, too, where failure is there.
	strict bool
	// keeps, unless nil, is what becomes of a call that frees a seat.
	keeps func(context.Context) error
	// activated, unless nil, is called when a seat was taken.
	activated func()
}

// answer is about the license l-1 for the key k-1.
func (s *server) answer(a Account, machineID, nonce string) Answer {
	answer := Answer{LicenseID: "l" + strings.TrimPrefix(a.LicenseKey.Reveal(), "k"), Product: "editor"}
	if s.sign != nil && nonce != "" {
		answer.Statement = s.sign(machineID, nonce)
	}
	return answer
}

func (s *server) Activate(_ context.Context, a Account, machineID, nonce string) (Answer, error) {
	if s.calls++; s.failure != nil {
		return Answer{}, s.failure
	}
	if seat := a.LicenseKey.Reveal() + "/" + machineID; !slices.Contains(s.taken, seat) {
		if len(s.taken) == s.seats {
			return Answer{}, &RefusedError{Code: errcode.DeviceLimitExceeded}
		}
		s.taken = append(s.taken, seat)
		answer := s.answer(a, machineID, nonce)
		answer.Taken = true
		if s.activated != nil {
			s.activated()
		}
		return answer, nil
	}
	return s.answer(a, machineID, nonce), nil
}

func (s *server) Validate(_ context.Context, a Account, machineID, nonce string) (Answer, error) {
	if s.delay != nil {
		s.delay()
	}
	if s.calls++; s.failure != nil {
		return Answer{}, s.failure
	}
	if !slices.Contains(s.taken, a.LicenseKey.Reveal()+"/"+machineID) {
		return Answer{}, &RefusedError{Code: errcode.DeviceNotActivated}
	}
	return s.answer(a, machineID, nonce), nil
}

func (s *server) Deactivate(ctx context.Context, a Account, machineID string) error {
	if s.calls++; s.keeps != nil {
		if err := s.keeps(ctx); err != nil {
			return err
		}
	}
	if s.failure != nil && (s.strict || !errors.As(s.failure, new(*RefusedError))) {
		return s.failure
	}
	seats := len(s.taken)
	seat := a.LicenseKey.Reveal() + "/" + machineID
	if s.taken = slices.DeleteFunc(s.taken, func(t string) bool { return t == seat }); len(s.taken) == seats {
		return &RefusedError{Code: errcode.DeviceNotFound}
	}
	return nil
}

type fixture struct {
	*Appliance
	t        *testing.T
	store    *memory
	upstream *server
	clock    *clock.Fake
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, store: &memory{}, upstream: &server{seats: 1}, clock: clock.NewFake(noon)}
	f.Appliance = New(Deps{
		Store: f.store, Upstream: f.upstream, Clock: f.clock, CheckEvery: time.Minute, Required: true,
		Trust: Trust{Roots: func(context.Context) ([]ed25519.PublicKey, error) { return nil, nil }},
	})
	return f
}

func account(licenseKey string) Account {
	return Account{URL: "https://up.example", LicenseKey: secret.Secret(licenseKey), APIKey: "a", Seconds: 1}
}

// pass lets time go by, minute by minute as the jobs do, where anything can be due.
func (f *fixture) pass(d time.Duration) {
	f.t.Helper()
	step := min(d, time.Hour)
	for range d / step {
		f.clock.Advance(step)
		if err := errors.Join(f.Refresh(f.t.Context()), f.Check(f.t.Context())); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fixture) want(when string, want Status) {
	f.t.Helper()
	_, got, err := f.Current(f.t.Context())
	if err != nil || got != want {
		f.t.Errorf("%s: %s, %v, want %s", when, got, err, want)
	}
	if served := f.Admit(f.t.Context()) == nil; served != want.Licensed() {
		f.t.Errorf("%s: licenses are served: %v", when, served)
	}
}

// TestAYear goes through all that becomes of an account.
func TestAYear(t *testing.T) {
	const day = 24 * time.Hour
	f := newFixture(t)
	f.want("at first", Unlicensed)
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.want("connected", Valid)
	f.pass(30 * day)
	f.want("a month later", Valid)
	f.upstream.failure = errors.New("no route to host")
	f.pass(time.Hour)
	f.want("cut", GracePeriod)
	f.pass(13 * day)
	f.want("on day 13", GracePeriod)
	f.pass(2 * day)
	f.want("on day 15", Expired)
	f.pass(100 * day)
	f.want("long after", Expired)
	f.upstream.failure = nil
	f.pass(time.Hour)
	f.want("back", Valid)
	f.upstream.failure = &RefusedError{Code: errcode.LicenseSuspended}
	f.pass(time.Hour)
	f.want("suspended", Invalid)
	f.upstream.failure = errors.New("no route to host")
	f.pass(day)
	f.want("suspended and cut", Invalid)
	f.upstream.failure = &RefusedError{Code: errcode.LicenseExpired}
	f.pass(time.Hour)
	f.want("expired", Expired)
	f.upstream.failure = nil
	f.pass(time.Hour)
	f.want("renewed", Valid)
	f.upstream.taken = nil
	f.pass(time.Hour)
	f.want("the seat was taken away", Invalid)
	f.pass(200 * day)
	f.want("at the end of the year", Invalid)
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.want("connected again", Valid)
}

func TestConnectStoresNothingWhenRefused(t *testing.T) {
	f := newFixture(t)
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	before := *f.store.kept.Cloud
	for failure, want := range map[error]string{
		&RefusedError{Code: errcode.LicenseNotFound}: errcode.UpstreamRefused,
		errors.New("no route to host"):               errcode.UpstreamUnavailable,
		apierr.InvalidField("url", "must be public"): errcode.ValidationError,
	} {
		f.upstream.failure = failure
		if e := apierr.From(f.Connect(t.Context(), ada, account("k-2"))); e == nil || e.Code != want {
			t.Errorf("%v: %v, want %s", failure, e, want)
		}
	}
	seats := []string{"k-1/" + f.store.kept.MachineID}
	if !reflect.DeepEqual(*f.store.kept.Cloud, before) || f.store.entries != 1 ||
		!slices.Equal(f.upstream.taken, seats) {
		t.Errorf("left %+v, %d entries, seats %v", f.store.kept.Cloud, f.store.entries, f.upstream.taken)
	}
}

// TestTimeGoesOnWithoutADatabase: what was read last counts until it can be read again.
func TestTimeGoesOnWithoutADatabase(t *testing.T) {
	f := newFixture(t)
	f.store.away = apierr.ErrUnavailable
	if err := f.Admit(t.Context()); !errors.Is(err, apierr.ErrUnavailable) {
		t.Errorf("before anything was read: %v", err)
	}
	f.store.away = nil
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.store.away = apierr.ErrUnavailable
	for _, step := range []struct {
		days time.Duration
		want error
	}{{13, nil}, {14, ErrNotLicensed}, {13, ErrNotLicensed}} { // at last the clock is set back
		f.clock.Set(noon.Add(step.days * 24 * time.Hour))
		_ = f.Refresh(t.Context())
		if err := f.Admit(t.Context()); !errors.Is(err, step.want) {
			t.Errorf("on day %d: %v, want %v", step.days, err, step.want)
		}
	}
}

// TestAClockThatIsSetBack brings nothing back, and has the upstream asked at once.
func TestAClockThatIsSetBack(t *testing.T) {
	const year = 365 * 24 * time.Hour
	f := newFixture(t)
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	f.pass(24 * time.Hour)
	f.clock.Advance(-year)
	f.upstream.failure = errors.New("no route to host")
	f.want("before anybody was asked", GracePeriod)
	f.pass(time.Hour)
	f.want("without an answer", GracePeriod)
	f.pass(14 * 24 * time.Hour)
	f.want("when the grace has passed nevertheless", Expired)
	f.upstream.failure = &RefusedError{Code: errcode.LicenseSuspended}
	f.pass(time.Hour)
	f.want("suspended", Invalid)
	f.upstream.failure = nil
	f.pass(time.Hour)
	f.want("when the upstream stands for it", Valid)
	f.pass(24 * time.Hour)
	f.want("a day later", Valid)
}

// TestOneProcessChecks: of several that find a check due, one asks.
func TestOneProcessChecks(t *testing.T) {
	f := newFixture(t)
	if err := f.Connect(t.Context(), ada, account("k-1")); err != nil {
		t.Fatal(err)
	}
	other := New(f.Deps)
	f.clock.Advance(2 * time.Minute)
	before := f.upstream.calls
	for _, a := range []*Appliance{f.Appliance, other} {
		if err := a.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range []*Appliance{f.Appliance, other} {
		if err := a.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if asked := f.upstream.calls - before; asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAccounts(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(*Account){
		"url":            func(a *Account) { a.URL = "" },
		"user":           func(a *Account) { a.LicenseKey = " " },
		"token":          func(a *Account) { a.APIKey = "a\r\nX-Other: b" },
		"timeout":        func(a *Account) { a.Seconds = 1001 },
		"proxy_password": func(a *Account) { a.Proxy = &Proxy{Host: "p", Port: 80, Password: "\n"} },
	} {
		a := account("k-1")
		change(&a)
		e := apierr.From(f.Connect(t.Context(), ada, a))
		fields, _ := e.Details["fields"].(map[string]string)
		if len(fields) != 1 || fields[name] == "" {
			t.Errorf("%s: %v", name, e)
		}
	}
	if f.store.kept != nil || f.upstream.calls != 0 {
		t.Errorf("something was done: %+v, %d calls", f.store.kept, f.upstream.calls)
	}
}

// resting is a store while the database takes no changes.
type resting struct{ *memory }

func (resting) AddInstallation(context.Context, string, time.Time) (*Installation, error) {
	return nil, apierr.ErrMaintenance
}

// TestStatusInMaintenance: that no machine id can be made yet keeps nobody from the status.
func TestStatusInMaintenance(t *testing.T) {
	a := New(Deps{Store: resting{&memory{}}, Clock: clock.NewFake(time.Now()), Required: true})
	i, status, err := a.Current(t.Context())
	if err != nil || status.Licensed() || i.MachineID != "" {
		t.Errorf("got %+v, %q, %v", i, status, err)
	}
}
