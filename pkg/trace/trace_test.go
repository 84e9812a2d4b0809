package trace

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTraceTravels(t *testing.T) {
	ctx := FromHeader(t.Context(), http.Header{"Traceparent": {parent}})
	out := http.Header{}
	ToHeader(ctx, out)
	if got := Parent(ctx); got != parent || out.Get("traceparent") != parent {
		t.Errorf("kept %q, handed on %v", got, out)
	}
}

func TestWhatIsNoTraceIsLeftOut(t *testing.T) {
	for name, sent := range map[string][]string{
		"nothing":        nil,
		"empty":          {""},
		"twice":          {parent, parent},
		"upper case":     {strings.ToUpper(parent)},
		"no hexadecimal": {strings.Replace(parent, "f", "g", 1)},
		"trace of zeros": {"00-00000000000000000000000000000000-b7ad6b7169203331-01"},
		"caller of zero": {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"},
		"version ff":     {"ff" + parent[2:]},
		"too short":      {parent[:54]},
		"too long":       {parent + "-x"},
		"other hyphens":  {strings.ReplaceAll(parent, "-", "_")},
		"script":         {`"><script>` + parent[10:]},
	} {
		ctx, out := FromHeader(t.Context(), http.Header{"Traceparent": sent}), http.Header{}
		ToHeader(ctx, out)
		if ctx != t.Context() || Parent(ctx) != "" || len(out) != 0 {
			t.Errorf("%s: kept %q, handed on %v", name, Parent(ctx), out)
		}
	}
}

// Requests without a trace must not pay for it.
func TestNoTraceCostsNoMemory(t *testing.T) {
	in, out := http.Header{"Accept": {"*/*"}}, http.Header{}
	if n := testing.AllocsPerRun(100, func() { ToHeader(FromHeader(context.Background(), in), out) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
