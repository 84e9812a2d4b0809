package license

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/config"
)

// Config is the settings of the license service. How long a call may take is none of them: see httpx.DefaultTimeout.
type Config struct {
	app.Base
	app.MasterKeys
	app.TokenLimit
	app.Clients

	CacheBytes int64  `key:"cache_bytes" default:"0" help:"bytes of memory for recently used licenses and devices; 0: a quarter of the memory limit of the container or machine, 1 GiB at most"`
	GeoIPFile  string `key:"geoip_file" help:"a MaxMind database of countries (.mmdb), which the term countries of licenses asks; empty: it is not asked"`
	Appliance

	Dialects []string `key:"dialects" help:"names of the other vendors' APIs to serve, separated by commas; none: serve none; empty: serve all"`
}

// The bounds of what a process keeps of licenses and devices when no setting says it, and the least that is of use.
const (
	mostCacheBytes  = 1 << 30
	leastCacheBytes = 1 << 20
)

// cacheBytes is the setting, or what follows from the memory in bytes that the process may have.
func (c *Config) cacheBytes(memory uint64) int64 {
	if c.CacheBytes > 0 {
		return c.CacheBytes
	}
	return int64(min(memory/4, mostCacheBytes))
}

// DefaultConfig is what main starts from.
func DefaultConfig() Config {
	return Config{Base: app.Base{Addr: ":5002", InternalAddr: "127.0.0.1:5102"}}
}

// Validate joins all problems of the settings.
func (c *Config) Validate() error {
	return errors.Join(c.Base.Validate(), c.MasterKeys.Check(c.Base), c.CheckClients(), c.checkDialects(),
		c.checkEdge(), c.checkCache(), c.checkGeoIP())
}

func (c *Config) checkGeoIP() error {
	if _, err := openCountries(c.GeoIPFile); err != nil {
		return config.Problemf(c, &c.GeoIPFile, "must be a database of countries in MaxMind's format: %v", err)
	}
	return nil
}

func (c *Config) checkCache() error {
	if c.CacheBytes == 0 || c.CacheBytes >= leastCacheBytes {
		return nil
	}
	return config.Problemf(c, &c.CacheBytes, "must be 0, or %d (1 MiB) or more", leastCacheBytes)
}
