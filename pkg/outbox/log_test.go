package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
)

func TestRepublish(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, pub := New(d, "test"), &publisher{}
		all := add(t, d, o, "lic", batchSize+10)
		var progress []string
		n, err := o.Republish(t.Context(), pub, noon.Add(5*time.Second), func(sent, total int) {
			progress = append(progress, fmt.Sprintf("%d/%d", sent, total))
		})
		if err != nil || n != batchSize+5 {
			t.Fatalf("%d sent, %v", n, err)
		}
		if diff := cmp.Diff(all[5:], pub.ids()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"1000/1005", "1005/1005"}, progress); diff != "" {
			t.Error(diff)
		}
		if pending, err := o.Pending(t.Context()); pending != len(all) || err != nil {
			t.Errorf("%d unsent: republishing is not relaying (%v)", pending, err)
		}
	})
}

func TestRepublishEndsThoughEventsKeepComing(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o := New(d, "test")
		add(t, d, o, "lic", 3)
		pub := &publisher{before: func(context.Context, []event.Event) error {
			add(t, d, o, "meanwhile", 1)
			return nil
		}}
		if n, err := o.Republish(t.Context(), pub, time.Time{}, nil); n != 3 || err != nil {
			t.Fatalf("%d sent, %v", n, err)
		}
	})
}

func TestRepublishSaysHowFarItCame(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o, calls := New(d, "test"), 0
		pub := &publisher{before: func(context.Context, []event.Event) error {
			if calls++; calls > 1 {
				return errRefused
			}
			return nil
		}}
		add(t, d, o, "lic", batchSize+10)
		n, err := o.Republish(t.Context(), pub, time.Time{}, nil)
		if n != batchSize || !errors.Is(err, errRefused) {
			t.Fatalf("%d sent, %v", n, err)
		}
	})
}

// plenty is more bytes than any event log of a test has.
const plenty = 1 << 30

func TestList(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o := New(d, "test")
		ids := add(t, d, o, "lic", 4)
		add(t, d, o, "another", 2)
		one, _, err := o.List(t.Context(), "lic", noon, nil, 1, plenty)
		if err != nil || len(one) != 1 {
			t.Fatal(one, err)
		}
		size := len(one[0].Data) // of each
		for name, tt := range map[string]struct {
			subject string
			since   time.Time
			exclude []string
			limit   int
			bytes   int
			want    []string
			total   int
		}{
			"newest first":  {"lic", noon, nil, 10, plenty, []string{ids[3], ids[2], ids[1], ids[0]}, 4},
			"inclusive":     {"lic", noon.Add(2 * time.Second), nil, 10, plenty, []string{ids[3], ids[2]}, 2},
			"limited":       {"lic", noon, []string{"license.created"}, 1, plenty, []string{ids[3]}, 4},
			"type left out": {"lic", noon, []string{"x", "license.activated"}, 10, plenty, []string{}, 0},
			"bytes":         {"lic", noon, nil, 10, 3*size - 1, []string{ids[3], ids[2]}, 4},
			"all bytes":     {"lic", noon, nil, 3, 3 * size, []string{ids[3], ids[2], ids[1]}, 4},
			"one too large": {"lic", noon, nil, 10, 1, []string{ids[3]}, 4},
			"unknown":       {"nobody", noon, nil, 10, plenty, []string{}, 0},
		} {
			events, total, err := o.List(t.Context(), tt.subject, tt.since, tt.exclude, tt.limit, tt.bytes)
			if diff := cmp.Diff(tt.want, idsOf(events)); diff != "" || total != tt.total || err != nil {
				t.Errorf("%s: %d in all, %v %s", name, total, err, diff)
			}
		}
	})
}

func TestPruneDeletesOnlyWhatIsOldAndSent(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o := New(d, "test")
		ids := add(t, d, o, "lic", batchSize+20)
		if n, err := o.Prune(t.Context(), noon.Add(time.Hour)); n != 0 || err != nil {
			t.Fatalf("%d unsent events pruned, %v", n, err)
		}
		stop := relay(t, o, &publisher{})
		awaitSent(t, o)
		stop()
		if n, err := o.Prune(t.Context(), noon.Add((batchSize+10)*time.Second)); n != batchSize+10 || err != nil {
			t.Fatalf("%d pruned, %v", n, err)
		}
		left, _, err := o.List(t.Context(), "lic", noon, nil, 100, plenty)
		if diff := cmp.Diff(10, len(left)); diff != "" || err != nil || left[9].ID != ids[batchSize+10] {
			t.Fatal(diff, err)
		}
		if n, err := o.Prune(t.Context(), noon); n != 0 || err != nil {
			t.Fatalf("%d pruned of nothing old, %v", n, err)
		}
	})
}

func TestSubjects(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o := New(d, "test")
		add(t, d, o, "one", 2)
		add(t, d, o, "other", 1)
		var eventType string
		if err := d.Read(t.Context()).Raw("SELECT type FROM outbox LIMIT 1").Scan(&eventType).Error; err != nil {
			t.Fatal(err)
		}
		seen := 0
		second := func([]byte) bool { seen++; return seen > 1 }
		got, err := o.Subjects(t.Context(), eventType, second)
		if diff := cmp.Diff([]string{"one", "other"}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if got, err := o.Subjects(t.Context(), "of.another.type", second); len(got) > 0 || err != nil {
			t.Error(got, err)
		}
	})
}

// TestRewriteAtOnce: two processes change what the events about a subject say, and neither undoes what the other did.
func TestRewriteAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		o := New(d, "test")
		add(t, d, o, "lic", batchSize+3)
		add(t, d, o, "another", 1)
		var read, all sync.WaitGroup
		read.Add(2)
		for _, member := range []string{`"first":`, `"second":`} {
			bothRead := sync.OnceFunc(func() {
				read.Done()
				read.Wait()
			})
			all.Go(func() {
				err := o.Rewrite(t.Context(), "lic", func(data []byte, _ time.Time) ([]byte, bool) {
					bothRead()
					if strings.Contains(string(data), member) {
						return nil, false
					}
					return []byte(strings.TrimSuffix(string(data), "}") + "," + member + "1}"), true
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for subject, want := range map[string]int{"lic": batchSize + 3, "another": 0} {
			var n int
			err := d.Read(t.Context()).Raw(`SELECT count(*) FROM outbox WHERE subject = ? AND CAST(data AS text)
				LIKE '%first%' AND CAST(data AS text) LIKE '%second%'`, subject).Scan(&n).Error
			if err != nil || n != want {
				t.Errorf("%d events about %s were changed twice, %v, want %d", n, subject, err, want)
			}
		}
	})
}
