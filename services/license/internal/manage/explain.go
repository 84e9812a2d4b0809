package manage

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

type explanationBody struct {
	Verdict   string       `json:"verdict"`
	ErrorCode *string      `json:"error_code"`
	Checks    []answerBody `json:"checks"`
	Device    *deviceBody  `json:"device"`
	License   *licenseBody `json:"license"`
}

type answerBody struct {
	Check    string  `json:"check"`
	Passed   *bool   `json:"passed"`
	Observed any     `json:"observed"`
	Limit    any     `json:"limit"`
	Reason   *string `json:"reason"`
	Remedy   *string `json:"remedy"`
}

// explain tells what a call would be answered, and why. Nothing is written, counted, cached or published.
func (m *Manage) explain(c *gin.Context) error {
	var in question
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	asked, err := m.question(c.Request.Context(), &in)
	if err != nil {
		return err
	}
	explainer := licensing.Explainer{Seats: m.Seats, Reads: m.Reads, Admit: m.Admit}
	e, err := explainer.Explain(c.Request.Context(), asked)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, newExplanationBody(&e))
	return nil
}

func newExplanationBody(e *licensing.Explanation) explanationBody {
	body := explanationBody{Verdict: "allowed", Checks: []answerBody{}}
	switch {
	case e.Refusal != nil:
		body.Verdict, body.ErrorCode = "refused", &e.Refusal.Code
	case e.Undecided:
		body.Verdict = "undecided"
	}
	for _, a := range e.Checks {
		body.Checks = append(body.Checks, answerBody{
			Check:    a.Check,
			Passed:   a.Passed,
			Observed: a.Observed,
			Limit:    a.Limit,
			Reason:   httpx.TextOrNull(a.Reason),
			Remedy:   httpx.TextOrNull(a.Remedy),
		})
	}
	if e.Device != nil {
		device := newDeviceBody(e.Device)
		body.Device = &device
	}
	if e.License != nil {
		license := newLicenseBody(e.License, e.At)
		body.License = &license
	}
	return body
}
