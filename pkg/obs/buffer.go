package obs

import (
	"io"
	"sync"
	"time"
)

const (
	// flushEvery bounds how long a line may wait in a Buffer, and so what a killed process may lose.
	flushEvery = 100 * time.Millisecond
	flushSize  = 64 << 10
)

// Buffer gathers log lines, so that a busy service makes a system call per batch and not per line. It is safe for
// concurrent use.
type Buffer struct {
	mu      sync.Mutex
	w       io.Writer
	pending []byte
	timer   *time.Timer
}

// NewBuffer returns a Buffer in front of w; what is in it reaches w after 100 ms, when 64 KiB are full, or by Flush.
// The last thing a program does is Flush.
func NewBuffer(w io.Writer) *Buffer { return &Buffer{w: w} }

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 {
		b.arm()
	}
	b.pending = append(b.pending, p...)
	if len(b.pending) >= flushSize {
		return len(p), b.flush()
	}
	return len(p), nil
}

// arm sets the timer at the first line of a batch; an idle buffer costs nothing.
func (b *Buffer) arm() {
	if b.timer == nil {
		b.timer = time.AfterFunc(flushEvery, func() { _ = b.Flush() })
		return
	}
	b.timer.Reset(flushEvery)
}

// Flush hands everything to the underlying writer. What that refuses is lost: a log must not fill the memory.
func (b *Buffer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flush()
}

func (b *Buffer) flush() error {
	if len(b.pending) == 0 {
		return nil
	}
	_, err := b.w.Write(b.pending)
	b.pending = b.pending[:0]
	return err
}
