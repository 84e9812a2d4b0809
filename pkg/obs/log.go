package obs

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// NewLogger writes one line per record to w: JSON, or readable text when format is "text". level is debug, info, warn
// or error; anything else counts as info. Attributes named like secrets are written as "***". When w is a *Buffer, a
// warning or an error is on its way at once.
func NewLogger(w io.Writer, level, format string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: parseLevel(level)}
	var h slog.Handler = slog.NewJSONHandler(w, opts)
	if format == "text" {
		h = slog.NewTextHandler(w, opts)
	}
	r := &redactor{next: h}
	r.flush, _ = w.(interface{ Flush() error })
	return slog.New(r)
}

func parseLevel(name string) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) != nil {
		return slog.LevelInfo
	}
	return l
}

// redactor hides attributes by their name. It is a handler and not a ReplaceAttr function because the latter takes
// slog's slow path for every attribute of every line.
type redactor struct {
	next  slog.Handler
	flush interface{ Flush() error }
}

func (h *redactor) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h *redactor) WithGroup(name string) slog.Handler {
	return &redactor{next: h.next.WithGroup(name), flush: h.flush}
}

func (h *redactor) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &redactor{next: h.next.WithAttrs(redact(attrs)), flush: h.flush}
}

func (h *redactor) Handle(ctx context.Context, r slog.Record) error {
	err := h.next.Handle(ctx, redactRecord(r))
	if h.flush != nil && r.Level >= slog.LevelWarn {
		h.flush.Flush()
	}
	return err
}

// redactRecord copies the record only when there is something to hide.
func redactRecord(r slog.Record) slog.Record {
	clean := true
	r.Attrs(func(a slog.Attr) bool {
		clean = !suspect(a)
		return clean
	})
	if clean {
		return r
	}
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	out.AddAttrs(redact(attrs)...)
	return out
}

// suspect reports whether an attribute has to be looked at more closely: only groups and values that turn into groups
// can hide a name.
func suspect(a slog.Attr) bool {
	kind := a.Value.Kind()
	return kind == slog.KindGroup || kind == slog.KindLogValuer || namesSecret(a.Key)
}

func redact(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = redactOne(a)
	}
	return out
}

func redactOne(a slog.Attr) slog.Attr {
	if namesSecret(a.Key) {
		return slog.String(a.Key, "***")
	}
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		v = slog.GroupValue(redact(v.Group())...)
	}
	return slog.Attr{Key: a.Key, Value: v}
}

// secretWords are looked for in attribute names, in lower case and without separators. A name such as "token_id" or
// "api_key_id" tells which secret, not the secret, and passes.
var secretWords = [...]string{
	"apikey", "adminkey", "token", "authorization", "password", "passwd", "secret", "licensekey", "masterkey",
	"privatekey", "cookie", "credential",
}

var harmlessEndings = [...]string{"id", "hash", "name", "count", "type", "expiresat", "reason", "file"}

// secretNames are the attribute names seen so far, and whether each names a secret. Names are in the code, so there
// are only so many.
var secretNames sync.Map // string -> bool

func namesSecret(name string) bool {
	known, ok := secretNames.Load(name)
	if !ok {
		known = hasSecretWord(strings.Map(squash, name))
		secretNames.Store(strings.Clone(name), known)
	}
	return known.(bool)
}

func hasSecretWord(key string) bool {
	for _, word := range secretWords {
		i := strings.Index(key, word)
		if i < 0 {
			continue
		}
		for _, end := range harmlessEndings {
			if strings.HasSuffix(key[i+len(word):], end) {
				return false
			}
		}
		return true
	}
	return false
}

func squash(r rune) rune {
	switch {
	case r == '_' || r == '-' || r == '.' || r == ' ':
		return -1
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	}
	return r
}
