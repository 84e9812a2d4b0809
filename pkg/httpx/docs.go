package httpx

import (
	"bytes"
	"compress/gzip"
	"html"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui/v5/static"
)

// docsPolicy lets the page run what this server serves and talk to this server; styles are also set inline by the
// viewer.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'"

const docsPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SERVICE API</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>The document is at <a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`

const docsStart = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  defaultModelsExpandDepth: 0,
});
`

// addDocs serves Swagger UI from the program itself: it works without the internet.
func addDocs(e *gin.Engine, service string) {
	page := []byte(strings.Replace(docsPage, "SERVICE", html.EscapeString(service), 1))
	e.GET("/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", docsPolicy)
		c.Header("Referrer-Policy", "no-referrer")
		c.Data(http.StatusOK, "text/html; charset=utf-8", page)
	})
	e.GET("/docs/:file", Wrap(docsFile))
}

func docsFile(c *gin.Context) error {
	name := c.Param("file")
	c.Header("Content-Security-Policy", docsPolicy)
	if name == "start.js" {
		c.Data(http.StatusOK, "text/javascript; charset=utf-8", []byte(docsStart))
		return nil
	}
	raw, zipped, err := docsAsset(name)
	if err != nil {
		return errNoRoute
	}
	if zipped && !strings.Contains(c.GetHeader("Accept-Encoding"), "gzip") {
		raw, err = unzipped(name, raw)
		zipped = false
	}
	if err != nil {
		return err
	}
	if zipped {
		c.Header("Content-Encoding", "gzip")
	}
	c.Header("Vary", "Accept-Encoding")
	c.Header("Cache-Control", "public, max-age=3600")
	c.Data(http.StatusOK, mime.TypeByExtension(path.Ext(name)), raw)
	return nil
}

func docsAsset(name string) (raw []byte, zipped bool, err error) {
	if raw, err = fs.ReadFile(static.FS, name+".gz"); err == nil {
		return raw, true, nil
	}
	raw, err = fs.ReadFile(static.FS, name)
	return raw, false, err
}

// unzippedAssets keeps what was asked for without compression; there are as many as the program brings along.
var unzippedAssets sync.Map // name -> func() ([]byte, error)

func unzipped(name string, raw []byte) ([]byte, error) {
	once, _ := unzippedAssets.LoadOrStore(name, sync.OnceValues(func() ([]byte, error) { return unzip(raw) }))
	return once.(func() ([]byte, error))()
}

func unzip(raw []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
