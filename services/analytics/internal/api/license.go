package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/detect"
	"github.com/latchkey-dev/latchkey/services/analytics/internal/usage"
)

const (
	// defaultDays is the window of those who ask for none.
	defaultDays = 30
	// firstYear is the first that a window may begin in: the zero dates of languages lie before it.
	firstYear = 2000
)

func (a *API) patterns(c *gin.Context) error {
	days, err := httpx.QueryInt(c, "days", defaultDays, 1, usage.MaxDays)
	if err != nil {
		return err
	}
	p, err := a.Reports.Patterns(c.Request.Context(), c.Param("license_id"), days)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, p)
	return nil
}

type detectRequest struct {
	From        *time.Time `json:"from"`
	To          *time.Time `json:"to" time:"end"`
	Sensitivity *float64   `json:"sensitivity"`
}

func (a *API) detect(c *gin.Context) error {
	var r detectRequest
	if err := httpx.BindOptional(c, &r); err != nil {
		return err
	}
	d, err := r.detection()
	if err != nil {
		return err
	}
	found, err := a.Anomalies.Detect(c.Request.Context(), c.Param("license_id"), d)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, found)
	return nil
}

func (r detectRequest) detection() (usage.Detection, error) {
	d, wrong := usage.Detection{}, apierr.Fields{}
	if r.From != nil {
		if d.From = *r.From; d.From.Year() < firstYear {
			wrong.Add("from", "must be in the year 2000 or later")
		}
	}
	if r.To != nil {
		d.To = *r.To
	}
	if r.Sensitivity != nil {
		const least, most = detect.MinSensitivity, detect.MaxSensitivity
		if d.Sensitivity = *r.Sensitivity; d.Sensitivity < least || d.Sensitivity > most {
			wrong.Add("sensitivity", fmt.Sprintf("must be a number from %v to %v", least, most))
		}
	}
	return d, wrong.Err()
}

func (a *API) risk(c *gin.Context) error {
	r, err := a.Anomalies.Risk(c.Request.Context(), c.Param("license_id"))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, r)
	return nil
}
