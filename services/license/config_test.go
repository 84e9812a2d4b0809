package license

import (
	"math"
	"testing"
)

// TestTheCacheFollowsTheMemoryLimit: by default it is a quarter of what the process may have, and bounded; the setting
// says otherwise.
func TestTheCacheFollowsTheMemoryLimit(t *testing.T) {
	for _, c := range []struct {
		setting int64
		memory  uint64
		want    int64
	}{
		{0, 64 << 20, 16 << 20},
		{0, 512 << 20, 128 << 20},
		{0, 4 << 30, 1 << 30},
		{0, 64 << 30, 1 << 30},
		{0, math.MaxUint64, 1 << 30},
		{1 << 20, 512 << 20, 1 << 20},
		{8 << 30, 512 << 20, 8 << 30},
	} {
		if got := (&Config{CacheBytes: c.setting}).cacheBytes(c.memory); got != c.want {
			t.Errorf("setting %d, %d bytes of memory: %d, want %d", c.setting, c.memory, got, c.want)
		}
	}
}
