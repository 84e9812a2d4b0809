// Package trace follows requests from service to service and through events. It carries the W3C traceparent that a
// caller sent, so that what happened can be found by the trace of who caused it, and where OpenTelemetry is configured
// (package otlp) it records spans: of the requests that a Recorder admits, and of what is done for them. Work for a
// request that is not recorded, and all work where nothing is configured, makes no spans.
package trace

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

const header = "Traceparent"

type key struct{}

// FromHeader is ctx with the traceparent of an incoming request. It is ctx itself when there is none or one that is not
// valid: others make what they trace depend on its form.
func FromHeader(ctx context.Context, h http.Header) context.Context {
	return With(ctx, sent(h))
}

// FromOutside is FromHeader for callers who do not decide what is recorded: what they sent is handed on as unsampled.
func FromOutside(ctx context.Context, h http.Header) context.Context {
	parent := sent(h)
	if parent == "" {
		return ctx
	}
	return With(ctx, parent[:53]+"00")
}

// sent is the traceparent of a request, "" when there is none or one that is not valid.
func sent(h http.Header) string {
	given := h[header]
	if len(given) != 1 || !valid(given[0]) {
		return ""
	}
	return given[0]
}

// With is ctx with the traceparent that another context carries, for what one call does for many.
func With(ctx context.Context, parent string) context.Context {
	if parent == "" {
		return ctx
	}
	return context.WithValue(ctx, key{}, parent)
}

// Parent is the traceparent that belongs on what ctx causes: of the span that is being recorded, otherwise the one that
// the caller sent, "" when there is neither.
func Parent(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		return format(span)
	}
	parent, _ := ctx.Value(key{}).(string)
	return parent
}

// ToHeader hands the traceparent of Parent on to an outgoing request.
func ToHeader(ctx context.Context, h http.Header) {
	if parent := Parent(ctx); parent != "" {
		h[header] = []string{parent}
	}
}

func format(s trace.SpanContext) string {
	return "00-" + s.TraceID().String() + "-" + s.SpanID().String() + "-" + s.TraceFlags().String()
}

// parse reads a traceparent. The result is not valid when the text is not.
func parse(parent string) trace.SpanContext {
	if !valid(parent) {
		return trace.SpanContext{}
	}
	var (
		c     = trace.SpanContextConfig{Remote: true}
		flags [1]byte
	)
	_, _ = hex.Decode(c.TraceID[:], []byte(parent[3:35])) // valid has seen the digits
	_, _ = hex.Decode(c.SpanID[:], []byte(parent[36:52]))
	_, _ = hex.Decode(flags[:], []byte(parent[53:]))
	c.TraceFlags = trace.TraceFlags(flags[0]) & trace.FlagsSampled
	return trace.NewSpanContext(c)
}

// valid accepts version 00 of https://www.w3.org/TR/trace-context/#traceparent-header, the only one there is:
// 00-<32 digits of the trace>-<16 of the parent>-<2 of flags>.
func valid(s string) bool {
	return len(s) == 55 && s[:3] == "00-" && s[35] == '-' && s[52] == '-' &&
		lowerHex(s[3:35]) && lowerHex(s[36:52]) && lowerHex(s[53:]) &&
		strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != ""
}

func lowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
