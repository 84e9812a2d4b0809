package httpx

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/obs"
)

// BenchmarkEngine tells what the middleware costs: the same handler behind a bare gin engine and behind ours, with a
// JSON logger and metrics. "ratio" is requests per second of ours over bare gin's, without the network around both.
func BenchmarkEngine(b *testing.B) {
	gin.SetMode(gin.ReleaseMode)
	handler := func(c *gin.Context) {
		var body struct {
			Key string `json:"license_key"`
		}
		raw, _ := io.ReadAll(c.Request.Body)
		_ = json.Unmarshal(raw, &body)
		c.JSON(http.StatusOK, gin.H{"valid": true, "key": body.Key})
	}
	bare := gin.New()
	bare.POST("/validate", handler)
	full := NewEngine(Options{
		Service: "test",
		Log:     obs.NewLogger(obs.NewBuffer(io.Discard), "info", "json"),
		Metrics: obs.NewMetrics("test"),
	})
	full.POST("/validate", handler)
	silent := NewEngine(Options{Service: "test", Log: slog.New(slog.DiscardHandler)})
	silent.POST("/validate", handler)

	payload := []byte(`{"license_key":"LIC-ABCD","hardware_id":"hw-1"}`)
	w := &nullWriter{header: http.Header{}}
	call := func(e *gin.Engine) {
		req, _ := http.NewRequest("POST", "/validate", bytes.NewReader(payload))
		req.RemoteAddr = "192.0.2.1:1234"
		e.ServeHTTP(w, req)
	}
	for name, e := range map[string]*gin.Engine{"bare": bare, "silent": silent, "full": full} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call(e)
			}
		})
	}
	b.Run("ratio", func(b *testing.B) {
		const batch = 50 // small, in turns, and the fastest of each counts: a busy machine then disturbs neither
		one, two := time.Hour, time.Hour
		time50 := func(e *gin.Engine) time.Duration {
			start := time.Now()
			for range batch {
				call(e)
			}
			return time.Since(start)
		}
		for b.Loop() {
			one, two = min(one, time50(bare)), min(two, time50(full))
		}
		b.ReportMetric(float64(one)/float64(two), "ratio")
		b.ReportMetric(float64(two-one)/batch, "ns-more/op")
		b.ReportMetric(float64(one)/batch, "ns-bare/op")
	})
}

type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(int)             {}
