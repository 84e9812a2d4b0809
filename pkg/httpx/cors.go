package httpx

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/rs/cors"
)

// CheckOrigins tells which entry of list is neither "*" nor an origin such as https://app.example.com.
func CheckOrigins(list []string) error {
	for _, entry := range list {
		u, err := url.Parse(entry)
		isOrigin := err == nil && (u.Scheme == "http" || u.Scheme == "https") &&
			u.Scheme+"://"+u.Host == entry && u.Hostname() != "" && !strings.Contains(entry, "*")
		if entry != "*" && !isOrigin {
			return fmt.Errorf("%q is neither * nor an origin such as https://app.example.com", entry)
		}
	}
	return nil
}

// crossOrigin lets pages of these origins call the API from a browser. The admin secret is no header that they may
// send, and cookies are not used.
func crossOrigin(origins []string) gin.HandlerFunc {
	policy := cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		},
		AllowedHeaders: []string{
			"Authorization", "Content-Type", "Idempotency-Key", "Traceparent", "X-API-Key", HeaderRequestID,
		},
		ExposedHeaders: []string{
			"Idempotency-Replayed", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
			HeaderRequestID,
		},
		MaxAge: 600,
	})
	return func(c *gin.Context) {
		policy.HandlerFunc(c.Writer, c.Request)
		if c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != "" {
			c.Abort() // a preflight has its answer
		}
	}
}
