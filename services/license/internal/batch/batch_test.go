package batch_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/services/license/internal/batch"
)

// press prints items in batches, each of which it holds until it is let go.
type press struct {
	*batch.Batcher[byte, string, string]
	begun chan []string
	let   chan error
}

func newPress(o batch.Options) *press {
	p := &press{begun: make(chan []string, 100), let: make(chan error)}
	firstLetter := func(item string) byte { return item[0] }
	p.Batcher = batch.New(o, firstLetter, func(_ context.Context, batch []string) ([]string, error) {
		p.begun <- batch
		if err := <-p.let; err != nil {
			return nil, err
		}
		printed := make([]string, len(batch))
		for i, item := range batch {
			printed[i] = strings.ToUpper(item)
		}
		return printed, nil
	})
	return p
}

// order starts a call for each item, one after the other, and returns where their results will be.
func (p *press) order(ctx context.Context, items ...string) []*outcome {
	all := make([]*outcome, len(items))
	for i, item := range items {
		o := &outcome{}
		all[i] = o
		go func() {
			o.result, o.err = p.Do(ctx, item)
			o.done.Store(true)
		}()
		synctest.Wait()
	}
	return all
}

type outcome struct {
	result string
	err    error
	done   atomic.Bool
}

func (p *press) batches() (all [][]string) {
	synctest.Wait()
	for len(p.begun) > 0 {
		all = append(all, <-p.begun)
	}
	return all
}

func (p *press) expect(t *testing.T, want ...[]string) {
	t.Helper()
	if diff := cmp.Diff(want, p.batches()); diff != "" {
		t.Errorf("batches begun, -want +got:\n%s", diff)
	}
}

func TestWhatArrivesMeanwhileGoesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPress(batch.Options{Size: 3, MaxConcurrent: 1})
		all := p.order(t.Context(), "a", "b", "c", "d", "e")
		p.expect(t, []string{"a"})
		p.let <- nil
		p.expect(t, []string{"b", "c", "d"})
		p.let <- nil
		p.expect(t, []string{"e"})
		p.let <- nil
		synctest.Wait()
		for i, want := range []string{"A", "B", "C", "D", "E"} {
			if o := all[i]; !o.done.Load() || o.result != want || o.err != nil {
				t.Errorf("item %d got %q, %v, want %q", i, o.result, o.err, want)
			}
		}
		p.order(t.Context(), "f")
		p.expect(t, []string{"f"}) // idle once more, it goes at once
		p.let <- nil
	})
}

func TestAKeyIsInOneBatchAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPress(batch.Options{Size: 9, MaxConcurrent: 2})
		p.order(t.Context(), "a1", "a2", "b1", "a3", "b2", "c1")
		p.expect(t, []string{"a1"}, []string{"b1"}) // the second worker passes over a2
		p.let <- nil
		p.let <- nil
		synctest.Wait()
		var next []string
		for _, batch := range p.batches() {
			next = append(next, strings.Join(batch, " "))
		}
		// Which of the two ends first is left to chance, so who takes c1 is as well.
		together := strings.Join(next, " | ")
		for _, pair := range []string{"a2 a3", "b2"} {
			if !strings.Contains(together, pair) {
				t.Errorf("the next batches are %s, want %s in one of them", together, pair)
			}
		}
		for range next {
			p.let <- nil
		}
	})
}

func TestASmallBatchDoesNotBeginBesideAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPress(batch.Options{Size: 9, MaxConcurrent: 2, MinExtra: 2})
		p.order(t.Context(), "a", "b")
		p.expect(t, []string{"a"})
		p.order(t.Context(), "c")
		p.expect(t, []string{"b", "c"})
		p.order(t.Context(), "d")
		p.let <- nil
		p.expect(t) // the call that is done first leaves d to the other
		p.let <- nil
		p.expect(t, []string{"d"})
		p.let <- nil
	})
}

func TestCallersThatComeAgainAreAwaited(t *testing.T) {
	const linger = 2 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		p := newPress(batch.Options{Size: 9, MaxConcurrent: 1, Linger: linger})
		p.order(t.Context(), "a", "b", "c")
		p.expect(t, []string{"a"})
		p.let <- nil
		p.expect(t, []string{"b", "c"}) // a had no company, so nothing was awaited
		p.let <- nil
		p.order(t.Context(), "d")
		p.expect(t)
		p.order(t.Context(), "e")
		p.expect(t, []string{"d", "e"}) // as many as before
		p.let <- nil
		p.order(t.Context(), "f")
		time.Sleep(linger)
		p.expect(t, []string{"f"}) // nobody else came in time
		p.let <- nil
		p.order(t.Context(), "g")
		p.expect(t, []string{"g"})
		p.let <- nil
	})
}

func TestACallerWhoGoesBeforeTheBatchIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPress(batch.Options{Size: 9, MaxConcurrent: 1})
		p.order(t.Context(), "a")
		ctx, cancel := context.WithCancel(t.Context())
		gone := p.order(ctx, "b")[0]
		p.order(t.Context(), "c")
		cancel()
		synctest.Wait()
		if !gone.done.Load() || !errors.Is(gone.err, context.Canceled) {
			t.Errorf("the caller is still waiting, or got %v", gone.err)
		}
		p.let <- nil
		p.expect(t, []string{"a"}, []string{"c"})
		p.let <- nil
	})
}

func TestACallerWhoGoesDuringTheBatchDoesNotStopIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPress(batch.Options{Size: 9, MaxConcurrent: 1})
		p.order(t.Context(), "a")
		ctx, cancel := context.WithCancel(t.Context())
		gone, other := p.order(ctx, "b")[0], p.order(t.Context(), "c")[0]
		p.let <- nil
		p.expect(t, []string{"a"}, []string{"b", "c"})
		cancel()
		synctest.Wait()
		if !gone.done.Load() || !errors.Is(gone.err, context.Canceled) {
			t.Errorf("the caller is still waiting, or got %v", gone.err)
		}
		p.let <- nil
		synctest.Wait()
		if other.result != "C" || other.err != nil {
			t.Errorf("the other one got %q, %v", other.result, other.err)
		}
	})
}

func TestAFailureIsEveryonesAndTheNextBatchGoesOn(t *testing.T) {
	broken := errors.New("out of ink")
	for name, run := range map[string]func(context.Context, []int) ([]int, error){
		"out of ink": func(context.Context, []int) ([]int, error) { return nil, broken },
		"panic":      func(context.Context, []int) ([]int, error) { panic("paper jam") },
		"2 results":  func(context.Context, []int) ([]int, error) { return make([]int, 2), nil },
		"0 results":  func(context.Context, []int) ([]int, error) { return nil, nil },
		"batch_test": func(context.Context, []int) ([]int, error) { panic("with the stack") },
	} {
		g := batch.New(batch.Options{Size: 1, MaxConcurrent: 1}, func(int) int { return 0 }, run)
		for range 2 {
			if _, err := g.Do(t.Context(), 1); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
}

// TestManyCallers has every item carried out once, and no key in two batches at once.
func TestManyCallers(t *testing.T) {
	const keys, callers = 5, 500
	var busy [keys]atomic.Bool
	run := func(_ context.Context, batch []int) ([]int, error) {
		mine := map[int]bool{}
		for _, n := range batch {
			mine[n%keys] = true
		}
		for k := range mine {
			if busy[k].Swap(true) {
				t.Errorf("key %d is in two batches at once", k)
			}
		}
		results := make([]int, len(batch))
		for i, n := range batch {
			results[i] = -n
		}
		for k := range mine {
			busy[k].Store(false)
		}
		return results, nil
	}
	g := batch.New(batch.Options{Size: 7, MaxConcurrent: 3}, func(n int) int { return n % keys }, run)
	var all sync.WaitGroup
	for n := range callers {
		all.Go(func() {
			if got, err := g.Do(t.Context(), n); got != -n || err != nil {
				t.Errorf("item %d got %d, %v", n, got, err)
			}
		})
	}
	all.Wait()
}

// TestWhoWaitsTooLongIsRefused: where more wait than the next batch takes, and only an item whose batch has not begun,
// which is not carried out.
func TestWhoWaitsTooLongIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPress(batch.Options{Size: 1, MaxConcurrent: 1, Patience: time.Second})
		begun := p.order(t.Context(), "a")[0]
		waiting := p.order(t.Context(), "b")
		time.Sleep(3 * time.Second) // of the bubble's clock
		if waiting[0].done.Load() {
			t.Errorf("the only item that waits got %q, %v", waiting[0].result, waiting[0].err)
		}
		waiting = append(waiting, p.order(t.Context(), "c", "d")...)
		time.Sleep(time.Second)
		synctest.Wait()
		refused := 0
		for _, o := range waiting {
			if o.done.Load() && errors.Is(o.err, batch.ErrBusy) {
				refused++
			}
		}
		if refused != 2 {
			t.Errorf("%d of 3 were refused, want all but the next batch", refused)
		}
		if begun.done.Load() {
			t.Errorf("an item whose batch has begun got %v", begun.err)
		}
		p.let <- nil
		p.let <- nil
		if batches := p.batches(); len(batches) != 2 || begun.result != "A" {
			t.Errorf("batches %q, the first item got %q", batches, begun.result)
		}
		for i, o := range waiting {
			if want := strings.ToUpper(string("bcd"[i])); o.err == nil && o.result != want {
				t.Errorf("got %q, want %q", o.result, want)
			}
		}
	})
}

// TestACrowdIsNotRefusedAtOnce: between half of the patience and all of it, each at its own time, until the rest fits
// into a batch.
func TestACrowdIsNotRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPress(batch.Options{Size: 9, MaxConcurrent: 1, Patience: time.Second})
		p.order(t.Context(), "a")
		crowd := p.order(t.Context(), strings.Split(strings.Repeat("b", 40), "")...)
		refused := func() (n int) {
			synctest.Wait()
			for _, o := range crowd {
				if o.done.Load() {
					n++
				}
			}
			return n
		}
		time.Sleep(time.Second/2 - 1)
		if n := refused(); n != 0 {
			t.Errorf("%d were refused before half of the patience", n)
		}
		time.Sleep(time.Second / 4)
		if n := refused(); n == 0 || n == 31 {
			t.Errorf("%d of 40 were refused after three quarters of it", n)
		}
		time.Sleep(time.Second / 4)
		if n := refused(); n != 31 {
			t.Errorf("%d of 40 were refused after all of it", n)
		}
		p.let <- nil
	})
}

// TestInACrowdTheNewestGoFirst: anyone who is let in has not waited for long, and it ends with the crowd.
func TestInACrowdTheNewestGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPress(batch.Options{Size: 2, MaxConcurrent: 1, Patience: time.Second})
		p.order(t.Context(), "a")
		p.expect(t, []string{"a"})
		p.order(t.Context(), "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
		for _, want := range [][]string{{"j", "k"}, {"b", "c"}, {"d", "e"}, {"f", "g"}, {"h", "i"}} {
			p.let <- nil
			p.expect(t, want)
		}
		p.let <- nil
	})
}

func TestWithoutPatienceTheOldestGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPress(batch.Options{Size: 1, MaxConcurrent: 1})
		p.order(t.Context(), "a")
		p.expect(t, []string{"a"})
		p.order(t.Context(), "b", "c", "d", "e", "f", "g")
		for _, want := range []string{"b", "c", "d", "e", "f", "g"} {
			p.let <- nil
			p.expect(t, []string{want})
		}
		p.let <- nil
	})
}
