//go:build unix

package e2e

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/testkit/jsontest"
)

// TestAnyJSONIsNoFailure sends every operation the members that it knows, with values of any kind
// and some of them twice. Whatever is wrong with them, it is the caller's mistake.
func TestAnyJSONIsNoFailure(t *testing.T) {
	const times = 60
	each(t, func(w *harness) {
		b := newAttacker(w)
		for _, op := range b.operations() {
			if len(members(op)) == 0 {
				continue
			}
			w.Run(op.method+" "+op.path, func(t *testing.T) {
				b, r := b.as(t), rand.New(rand.NewPCG(7, 11))
				id := b.victim
				if op.method == http.MethodDelete {
					id = unknownID // the victim is needed alive
				}
				names := slices.DeleteFunc(slices.Sorted(maps.Keys(members(op))), func(name string) bool {
					return strings.Contains(name, ".")
				})
				for i := range times {
					body := "{" + jsontest.Members(r, names...) + "}"
					if good := strings.TrimPrefix(example(op), "{"); i%2 == 0 && len(body) > 2 && good != "}" {
						// the last of a name counts: what is required is there
						body = strings.TrimSuffix(body, "}") + "," + good
					}
					if a := b.send(op, b.at(op, id), body); a.status >= http.StatusInternalServerError {
						t.Errorf("got %d %s for %s", a.status, a.raw, body)
					}
				}
			})
		}
	})
}
