package httpx

import (
	"context"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/goccy/go-yaml"

	"github.com/latchkey-dev/latchkey/pkg/obs"
)

// Readiness is the answer of /readyz: whether the service can do its work, and how each dependency is: "ok",
// "degraded: ..." or "away: ...".
type Readiness struct {
	Ready        bool
	Dependencies map[string]string
	// Maintenance says that changes are refused, and all else goes on.
	Maintenance bool
}

// status is "ready", "degraded" when a dependency is not "ok", or "unavailable".
func (r Readiness) status() string {
	if !r.Ready {
		return "unavailable"
	}
	for _, state := range r.Dependencies {
		if state != "ok" {
			return "degraded"
		}
	}
	return "ready"
}

// MetaOptions says what Meta shows.
type MetaOptions struct {
	Service string
	// OpenAPI is the YAML document of the service; none leaves /openapi.json and /docs out, NoDocs the latter.
	OpenAPI []byte
	NoDocs  bool
	// Ready is asked by /readyz; nil is always ready.
	Ready func(ctx context.Context) Readiness
	// Metrics answers /metrics; nil leaves it out.
	Metrics http.Handler
}

// Meta adds /healthz (alive, whatever the dependencies), /readyz, /version, /metrics, /openapi.json and /docs.
func Meta(e *gin.Engine, o MetaOptions) {
	build := obs.ReadBuild()
	e.GET("/healthz", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) })
	e.GET("/readyz", func(c *gin.Context) { writeReadiness(c, o.Ready) })
	e.GET("/version", func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{
			"service": o.Service, "version": build.Version, "commit": build.Commit, "date": build.Date,
			"go": build.Go,
		})
	})
	if o.Metrics != nil {
		e.GET("/metrics", gin.WrapH(o.Metrics))
	}
	if o.OpenAPI != nil {
		e.GET("/openapi.json", Wrap(openAPI(o.OpenAPI)))
	}
	if o.OpenAPI != nil && !o.NoDocs {
		addDocs(e, o.Service)
	}
}

func writeReadiness(c *gin.Context, ready func(context.Context) Readiness) {
	r := Readiness{Ready: true}
	if ready != nil {
		r = ready(c.Request.Context())
	}
	if r.Dependencies == nil {
		r.Dependencies = map[string]string{}
	}
	status := http.StatusOK
	if !r.Ready {
		status = http.StatusServiceUnavailable
	}
	body := gin.H{"status": r.status(), "dependencies": r.Dependencies}
	if r.Maintenance {
		body["maintenance"] = true
	}
	c.JSON(status, body)
}

// openAPI answers the document as JSON. It is converted when first asked for: that takes longer than a service takes to
// start.
func openAPI(document []byte) Handler {
	convert := sync.OnceValues(func() ([]byte, error) { return yaml.YAMLToJSON(document) })
	return func(c *gin.Context) error {
		raw, err := convert()
		if err != nil {
			return err
		}
		c.Data(http.StatusOK, JSONType, raw)
		return nil
	}
}
