package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/bus"
)

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, eventType string
		want               bool
	}{
		{"license.activated", "license.activated", true},
		{"license.activated", "license.activate", false},
		{"license.activated", "license", false},
		{"license", "license.activated", false},
		{"license.*", "license.activated", true},
		{"license.*", "license", false},
		{"license.*", "license.validation.failed", false},
		{"*.*", "license.activated", true},
		{"*", "license.activated", false},
		{"*.failed", "license.validation.failed", false},
		{"license.*.failed", "license.validation.failed", true},
		{"#", "license.activated", true},
		{"#", "", true},
		{"license.#", "license", true},
		{"license.#", "license.activated", true},
		{"license.#", "license.validation.failed", true},
		{"license.#", "licenses.activated", false},
		{"#.failed", "license.validation.failed", true},
		{"#.failed", "failed", true},
		{"#.failed", "license.failed.not", false},
		{"#.validation.#", "license.validation.failed", true},
		{"#.validation.#", "validation", true},
		{"#.validation.#", "license.activated", false},
		{"license.#.failed", "license.failed", true},
		{"license.#.failed", "license.a.b.failed", true},
		{"#.*", "license", true},
		{"#.*", "license.activated", true},
		{"*.#.*", "license", false},
		{"#.#", "license", true},
		{"license.#.#", "license", true},
		{"", "license", false},
	} {
		if got := bus.Matches(test.pattern, test.eventType); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.eventType, got)
		}
	}
}

func TestALinkGoesStaleByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bus.NewLink()
		time.Sleep(time.Hour)
		check := func(what string, want bool) {
			t.Helper()
			if l.Alive() != want {
				t.Errorf("%s: alive is %v", what, !want)
			}
		}
		check("before the first tick", false)
		l.Tick()
		check("after a tick", true)
		time.Sleep(bus.Silence - time.Nanosecond)
		check("just before the end of the silence", true)
		time.Sleep(time.Nanosecond)
		check("after the silence", false)
		l.Tick()
		check("after another tick", true)
		l.Lose()
		check("after it was lost", false)
	})
}

func TestASourceIsPromptWhileItSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := bus.NewLink()
		auth, license := l.From("auth"), l.From("license")
		time.Sleep(time.Hour)
		check := func(what string, want bool) {
			t.Helper()
			if auth.Prompt() != want || license.Prompt() {
				t.Errorf("%s: auth is prompt: %v, license: %v", what, auth.Prompt(), license.Prompt())
			}
		}
		l.Tick()
		check("before the first sign", false)
		l.Sign("auth")
		l.Sign("a stranger")
		check("after a sign", true)
		time.Sleep(bus.Silence / 2)
		l.Tick()
		time.Sleep(bus.Silence/2 - time.Nanosecond)
		check("just before the end of the silence", true)
		time.Sleep(time.Nanosecond)
		check("after the silence", false)
		if !auth.Alive() {
			t.Error("the link of a silent source is lost")
		}
		l.Sign("auth")
		l.Lose()
		check("after the link was lost", false)
		if got := l.Sources(); !slices.Equal(got, []string{"auth", "license"}) {
			t.Errorf("the sources are %v", got)
		}
	})
}

func TestRejected(t *testing.T) {
	var rejected bus.Rejected
	if err := (bus.Rejected{}).OrNil(); err != nil {
		t.Errorf("nothing rejected: %v", err)
	}
	err := fmt.Errorf("handle: %w", bus.Rejected{7: errors.New("later"), 3: errors.New("first")}.OrNil())
	if !errors.As(err, &rejected) || err.Error() != "handle: 2 events were rejected, the first one because: first" {
		t.Errorf("got %v", err)
	}
}

func TestDefaults(t *testing.T) {
	q := bus.Queue{Name: "a", BatchSize: 7}.WithDefaults()
	if q.BatchSize != 7 || q.BatchWait <= 0 || q.MaxAttempts <= 0 || q.MaxBytes <= 0 || q.MaxDeadLetters <= 0 ||
		q.MaxDeadLetterBytes <= 0 {
		t.Errorf("got %+v", q)
	}
}
