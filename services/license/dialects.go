package license

import (
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
)

// dialectNames are what the setting Dialects calls them.
var dialectNames = []string{}

// noDialects is the setting that switches all of them off.
const noDialects = "none"

// dialect is the API of another vendor on the public port: package internal/dialect/<name>.
type dialect struct {
	name string
	// paths are what the paths of all its routes begin with, such as "/api/v4". Below them every error has the form
	// that its clients expect, also that of a guard, a panic or an unknown path.
	paths []string
	// writeError answers in that form.
	writeError httpx.ErrorWriter
	// routes are added to those of the public port.
	routes func(gin.IRouter)
}

// dialects are those that are switched on.
func (s *Service) dialects(cfg Config) []dialect {
	all := []dialect{}
	return slices.DeleteFunc(all, func(d dialect) bool { return !cfg.serves(d.name) })
}

// serves tells whether a dialect is switched on.
func (c *Config) serves(name string) bool {
	return len(c.Dialects) == 0 || slices.Contains(c.Dialects, name)
}

func (c *Config) checkDialects() error {
	if slices.Equal(c.Dialects, []string{noDialects}) {
		return nil
	}
	for _, name := range c.Dialects {
		if !slices.Contains(dialectNames, name) {
			return config.Problemf(c, &c.Dialects, "must be %q alone, or some of %s; %q is neither",
				noDialects, strings.Join(dialectNames, ", "), name)
		}
	}
	return nil
}

// errorWriters are those of the dialects, by path.
func errorWriters(dialects []dialect) map[string]httpx.ErrorWriter {
	writers := map[string]httpx.ErrorWriter{}
	for _, d := range dialects {
		for _, path := range d.paths {
			writers[path] = d.writeError
		}
	}
	return writers
}
