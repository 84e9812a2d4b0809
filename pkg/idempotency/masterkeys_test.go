package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
)

func TestKeptAnswersMoveToANewMasterKey(t *testing.T) {
	eachEngine(t, func(t *testing.T, r rig) {
		const answers = 450
		old, both, fresh := ring(t, 1), ring(t, 2, 1), ring(t, 2)
		call := func(i int, by *keyring.Ring, made string) (created, error) {
			k := idempotency.Key{Scope: fmt.Sprint("admin-", i%3), Key: fmt.Sprint(i)}
			return idempotency.Do(t.Context(), idempotency.New(r.db, by, r.clock), k,
				func(context.Context) (created, error) { return created{Secret: made}, nil })
		}
		for i := range answers {
			if _, err := call(i, old, fmt.Sprint("answer ", i)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := call(7, fresh, ""); !errors.Is(err, apierr.ErrUnavailable) {
			t.Errorf("an answer under a key that is missing: %v, want 503", err)
		}
		rows := idempotency.Rows(r.db, both, r.clock)
		count := func() string {
			counts, err := rows.Count(r.db.Read(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(counts)
		}
		if want := fmt.Sprint(map[string]int{old.Name(): answers}); count() != want {
			t.Errorf("before: %s, want %s", count(), want)
		}
		ctx, kill := context.WithCancel(t.Context())
		if _, err := rows.Reseal(ctx, func(int) { kill() }); err == nil {
			t.Error("it went on after the first batch")
		}
		if n, err := rows.Reseal(t.Context(), func(int) {}); err != nil || n == 0 || n >= answers {
			t.Errorf("resumed: %d, %v", n, err)
		}
		if want := fmt.Sprint(map[string]int{fresh.Name(): answers}); count() != want {
			t.Errorf("afterwards: %s, want %s", count(), want)
		}
		for _, i := range []int{0, answers / 2, answers - 1} {
			if got, err := call(i, fresh, "made again"); err != nil || got.Secret != fmt.Sprint("answer ", i) {
				t.Errorf("answer %d: %+v, %v", i, got, err)
			}
		}
		r.clock.Advance(25 * time.Hour)
		if count() != "map[]" {
			t.Errorf("answers whose time is over count: %s", count())
		}
	})
}
