package obs

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// flushEvery bounds how long a line may wait in a Buffer, and so what a killed process may lose.
const flushEvery = 100 * time.Millisecond

// Buffer gathers log lines, so that a busy service makes a system call per batch and not per line. It is safe for concurrent use.
type Buffer struct {
	mu    sync.Mutex
	w     *bufio.Writer
	timer *time.Timer
	armed bool
}

// NewBuffer returns a Buffer in front of w; what is in it reaches w after 100 ms, when 64 KiB are full, or by Flush. The last
// thing a program does is Flush.
func NewBuffer(w io.Writer) *Buffer {
	return &Buffer{w: bufio.NewWriterSize(w, 64<<10)}
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.armed {
		b.arm()
	}
	return b.w.Write(p)
}

// arm sets the timer of the first line of a batch; an idle buffer costs nothing.
func (b *Buffer) arm() {
	b.armed = true
	if b.timer == nil {
		b.timer = time.AfterFunc(flushEvery, func() { b.Flush() })
		return
	}
	b.timer.Reset(flushEvery)
}

// Flush hands everything to the underlying writer.
func (b *Buffer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = false
	return b.w.Flush()
}
