package obs

import (
	"bytes"
	"context"
	"log/slog"
	"time"
)

// Line is a line that a program writes all the time, with other values at its end only. The rest is kept ready as bytes, which
// spares most of what slog does.
type Line struct {
	out  *Buffer
	head []byte // all but the time and what is appended
}

// NewLine prepares a line of h, a handler of NewLogger's or Unredacted's. It is nil where h does not write JSON to a Buffer: such lines
// go through h.
func NewLine(h slog.Handler, level slog.Level, msg string, attrs ...slog.Attr) *Line {
	r, ok := h.(*redactor)
	if !ok || r.json == nil || level >= slog.LevelWarn { // warnings are flushed
		return nil
	}
	var out bytes.Buffer
	rendered := slog.NewJSONHandler(&out, nil).WithAttrs(r.attrs).WithAttrs(redact(attrs))
	if err := rendered.Handle(context.Background(), slog.NewRecord(time.Time{}, level, msg, 0)); err != nil {
		return nil
	}
	head := bytes.TrimSuffix(bytes.TrimPrefix(out.Bytes(), []byte("{")), []byte("}\n"))
	return &Line{out: r.json, head: head}
}

// Begin appends what is ready. More members may follow, each behind a comma, and then Write.
func (l *Line) Begin(b []byte, at time.Time) []byte {
	b = at.AppendFormat(append(b, `{"time":"`...), time.RFC3339Nano)
	return append(append(b, `",`...), l.head...)
}

// Write ends the line and writes it.
func (l *Line) Write(b []byte) {
	_, _ = l.out.Write(append(b, '}', '\n')) // nowhere to tell
}
