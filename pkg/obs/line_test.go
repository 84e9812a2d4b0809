package obs

import (
	"bytes"
	"log/slog"
	"testing"
	"time"
)

func TestALineIsWhatSlogWrites(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600))
	attrs := []slog.Attr{slog.String("route", `/a/"b"`), slog.Int("status", 200), slog.String("api_key", "sk_secret")}
	var out bytes.Buffer
	buf := NewBuffer(&out)
	log := NewLogger(buf, "info", "json").With("service", "x\ny").With("password", "hidden")
	record := slog.NewRecord(at, slog.LevelInfo, "m", 0)
	record.AddAttrs(attrs...)
	record.AddAttrs(slog.Int("n", 7))
	if err := log.Handler().Handle(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if err := buf.Flush(); err != nil {
		t.Fatal(err)
	}
	want := out.String()
	out.Reset()
	line := NewLine(Unredacted(log), slog.LevelInfo, "m", attrs...)
	line.Write(append(line.Begin(nil, at), `,"n":7`...))
	if err := buf.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestALineIsLeftToSlog(t *testing.T) {
	buf := NewBuffer(&bytes.Buffer{})
	for name, h := range map[string]slog.Handler{
		"text":         NewLogger(buf, "info", "text").Handler(),
		"no buffer":    NewLogger(&bytes.Buffer{}, "info", "json").Handler(),
		"a group":      NewLogger(buf, "info", "json").WithGroup("g").Handler(),
		"not of ours":  slog.DiscardHandler,
		"text, a copy": Unredacted(NewLogger(buf, "info", "text").With("a", 1)),
	} {
		if NewLine(h, slog.LevelInfo, "m") != nil {
			t.Errorf("%s: a line was prepared", name)
		}
	}
	if NewLine(NewLogger(buf, "info", "json").Handler(), slog.LevelWarn, "m") != nil {
		t.Error("a warning was prepared: it would not be flushed")
	}
}
