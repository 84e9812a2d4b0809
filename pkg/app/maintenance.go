package app

import (
	"context"
	"log/slog"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/proto/openapi"
)

// procedures is what the paths of the contracts between services begin with. All of them only ask.
const procedures = "/latchkey."

// maintain has e refuse, in maintenance mode, every request that may change something, before anybody looks at a
// credential. Which POSTs only read, and which GETs change something, says proto/openapi/reads.go. The answers have the
// form of the group of their path. A request that is let through and writes nevertheless is refused by the database,
// which is read-only.
func (c *Core) maintain(e *gin.Engine) {
	if !c.base.Maintenance {
		return
	}
	e.Use(func(c *gin.Context) {
		path := c.FullPath() // empty where no route is
		if path != "" && !strings.HasPrefix(path, procedures) && !openapi.Reads(c.Request.Method, path) {
			httpx.WriteError(c, apierr.ErrMaintenance)
		}
	})
}

// WarnMaintenance says once, at the start, that the service takes no changes.
func (b Base) WarnMaintenance(ctx context.Context, log *slog.Logger) {
	if b.Maintenance {
		log.WarnContext(ctx, "maintenance mode: every change is answered 503, and nothing is written",
			"setting", "LATCHKEY_MAINTENANCE")
	}
}

// Maintenance says that the service takes no changes, which somebody may have forgotten.
func (d *Diagnosis) Maintenance(b Base) {
	if b.Maintenance {
		d.Warn("maintenance", "when the work is done, unset LATCHKEY_MAINTENANCE and restart the replicas one by one",
			"every change is answered 503")
	}
}
