package spectra

import (
	"maps"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// errorResponse is the body of every error.
type errorResponse struct {
	// Code is the status of the answer.
	Code    int    `json:"code"`
	Message string `json:"message"`
	// Detail has the member error_code, one of docs/errors.md, and what else is known.
	Detail map[string]any `json:"detail"`
}

// WriteError answers with an error in the form of this package. What the API calls a bad gateway is any failure of
// what stands behind the appliance.
func WriteError(c *gin.Context, e *apierr.Error) {
	status := e.Kind.Status()
	if status >= http.StatusInternalServerError {
		status = http.StatusBadGateway
	}
	detail := map[string]any{"error_code": e.Code}
	maps.Copy(detail, e.Details)
	message := strings.Replace(e.Message, "details.fields", "detail.fields", 1)
	c.PureJSON(status, errorResponse{Code: status, Message: message, Detail: detail})
}
