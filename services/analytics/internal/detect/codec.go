package detect

import (
	"encoding/binary"
	"fmt"
)

// codec walks a state in one fixed order and either appends it to buf or reads it from there, so that both directions
// cannot drift apart. The first error stays and the rest of the walk does nothing.
type codec struct {
	buf     []byte
	reading bool
	err     error
	// clock is what times are counted back from, which keeps them short.
	clock int64
}

func (c *codec) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrState, what)
	}
}

// version walks the number of the form that follows.
func (c *codec) version(v uint64) {
	read := v
	c.uint(&read)
	if read != v {
		c.fail("version")
	}
}

// end refuses what follows the last field.
func (c *codec) end() {
	if c.reading && len(c.buf) > 0 {
		c.fail("trailing bytes")
	}
}

func (c *codec) uint(v *uint64) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *v)
		return
	}
	x, n := binary.Uvarint(c.buf)
	if c.err != nil || n <= 0 {
		c.fail("number")
		return
	}
	*v, c.buf = x, c.buf[n:]
}

func (c *codec) int(v *int64) {
	z := uint64(*v)<<1 ^ uint64(*v>>63)
	c.uint(&z)
	*v = int64(z>>1) ^ -int64(z&1)
}

// time walks microseconds since 1970, 0 meaning none, as the distance to the clock.
func (c *codec) time(v *int64) {
	var z uint64
	if d := c.clock - *v; *v != 0 {
		z = (uint64(d)<<1 ^ uint64(d>>63)) + 1
	}
	c.uint(&z)
	if !c.reading {
		return
	}
	*v = 0
	if z != 0 {
		z--
		*v = c.clock - (int64(z>>1) ^ -int64(z&1))
	}
}

// hash walks 8 bytes that no short form would make smaller.
func (c *codec) hash(v *uint64) {
	if !c.reading {
		c.buf = binary.LittleEndian.AppendUint64(c.buf, *v)
		return
	}
	if c.err != nil || len(c.buf) < 8 {
		c.fail("hash")
		return
	}
	*v, c.buf = binary.LittleEndian.Uint64(c.buf), c.buf[8:]
}

func (c *codec) bool(v *bool) {
	var x uint64
	if *v {
		x = 1
	}
	c.uint(&x)
	*v = x == 1
}

// count walks the length of a list of at most limit elements.
func (c *codec) count(n, limit int) int {
	x := uint64(n)
	c.uint(&x)
	if c.err != nil || x > uint64(limit) {
		c.fail("length")
		return 0
	}
	return int(x)
}

func (c *codec) text(v *string, limit int) {
	n := c.count(len(*v), limit)
	if !c.reading {
		c.buf = append(c.buf, *v...)
		return
	}
	if c.err != nil || len(c.buf) < n {
		c.fail("text")
		return
	}
	*v, c.buf = string(c.buf[:n]), c.buf[n:]
}

// list walks a slice of at most limit elements. An empty list is nil after reading.
func list[T any](c *codec, v *[]T, limit int, each func(*codec, *T)) {
	n := c.count(len(*v), limit)
	if c.reading {
		*v = nil
		if n > 0 && n <= len(c.buf) {
			*v = make([]T, n)
		} else if n > 0 {
			c.fail("length")
		}
	}
	for i := range *v {
		each(c, &(*v)[i])
	}
}
