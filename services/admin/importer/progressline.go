package importer

import (
	"fmt"
	"io"
	"time"
)

// countingReader counts what is read.
type countingReader struct {
	from io.Reader
	n    int64
}

// Read implements io.Reader.
func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.n += int64(n)
	return n, err
}

// progress is a line that tells how far an import is.
type progress struct {
	to    io.Writer
	read  *countingReader
	size  int64
	begun time.Time
	shown time.Time
}

// show writes the line at most once a second.
func (p *progress) show(c counts) {
	now := time.Now()
	if now.Sub(p.shown) < time.Second {
		return
	}
	p.shown = now
	p.write(c, now)
}

func (p *progress) end(c counts) {
	p.write(c, time.Now())
	fmt.Fprintln(p.to)
}

func (p *progress) write(c counts, now time.Time) {
	took, share := now.Sub(p.begun), float64(p.read.n)/float64(max(p.size, 1))
	left := time.Duration(float64(took) * (1 - share) / max(share, 0.001)).Round(time.Second)
	fmt.Fprintf(p.to, "\rlicenses: %d, %.0f/s, %.0f %%, %v left, %d refused   ",
		c.all(), rate(c.all(), took), 100*share, left, c.refused)
}
