//go:build unix

package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// baselineCommand starts this program as the process that validate is compared with.
const baselineCommand = "baseline"

const (
	validatePath = "/api/v1/license/validate"
	activatePath = "/api/v1/license/activate"
)

type baselineRequest struct {
	LicenseKey string `json:"license_key"`
	HardwareID string `json:"hardware_id"`
}

type baselineAnswer struct {
	Valid       bool           `json:"valid"`
	LicenseID   string         `json:"license_id"`
	Product     string         `json:"product"`
	Policy      *string        `json:"policy"`
	ExpiresAt   *time.Time     `json:"expires_at"`
	Features    []string       `json:"features"`
	Limits      baselineLimits `json:"limits"`
	Cached      bool           `json:"cached"`
	LicenseType string         `json:"license_type"`
	IsTrial     bool           `json:"is_trial"`
	Status      string         `json:"status"`
}

type baselineLimits struct {
	MaxDevices     int `json:"max_devices"`
	CurrentDevices int `json:"current_devices"`
}

// baseline is a bare gin handler: it reads the body that validate reads and writes the JSON that validate writes about
// license 1, and does nothing else.
func baseline() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	id := licenseID(1)
	e.POST(validatePath, func(c *gin.Context) {
		var req baselineRequest
		if err := c.ShouldBindJSON(&req); err != nil {
			c.Status(http.StatusBadRequest)
			return
		}
		c.JSON(http.StatusOK, baselineAnswer{
			Valid: true, LicenseID: id, ExpiresAt: &expiry, Features: []string{feature}, Cached: true,
			Product: "bench", LicenseType: "time-limited", Status: "active",
			Limits: baselineLimits{MaxDevices: maxDevices, CurrentDevices: 1},
		})
	})
	return e
}

func serveBaseline(ctx context.Context, addr string) error {
	server := &http.Server{Addr: addr, Handler: baseline(), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
