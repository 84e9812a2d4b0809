// Package trace carries the W3C traceparent that a caller sent from request to request and into events, so that what
// happened can be found by the trace of who caused it. It starts no traces of its own.
package trace

import (
	"context"
	"net/http"
	"strings"
)

const header = "Traceparent"

type key struct{}

// FromHeader is ctx with the traceparent of an incoming request. It is ctx itself when there is none or one that is not
// valid: others make what they trace depend on its form.
func FromHeader(ctx context.Context, h http.Header) context.Context {
	given := h[header]
	if len(given) != 1 || !valid(given[0]) {
		return ctx
	}
	return With(ctx, given[0])
}

// With is ctx with the traceparent that another context carries, for what one call does for many.
func With(ctx context.Context, parent string) context.Context {
	if parent == "" {
		return ctx
	}
	return context.WithValue(ctx, key{}, parent)
}

// Parent is the traceparent that ctx carries, "" when it carries none.
func Parent(ctx context.Context) string {
	parent, _ := ctx.Value(key{}).(string)
	return parent
}

// ToHeader hands the traceparent that ctx carries on to an outgoing request.
func ToHeader(ctx context.Context, h http.Header) {
	if parent := Parent(ctx); parent != "" {
		h[header] = []string{parent}
	}
}

// valid accepts version 00 of https://www.w3.org/TR/trace-context/#traceparent-header, the only one there is:
// 00-<32 digits of the trace>-<16 of the parent>-<2 of flags>.
func valid(s string) bool {
	return len(s) == 55 && s[:3] == "00-" && s[35] == '-' && s[52] == '-' &&
		lowerHex(s[3:35]) && lowerHex(s[36:52]) && lowerHex(s[53:]) &&
		strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != ""
}

func lowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
