package delegated

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
)

// errorResponse is the body of every error. It has no member "token": clients look for that text, not at the status.
type errorResponse struct {
	Status int `json:"status"`
	// Code is one of docs/errors.md.
	Code    string `json:"code"`
	Message string `json:"message"`
}

// WriteError answers with an error in the form of this package.
func WriteError(c *gin.Context, e *apierr.Error) {
	status := e.Kind.Status()
	if e.Kind == apierr.Forbidden { // by what stands before the handlers
		status = http.StatusBadRequest
	}
	raw, _ := json.Marshal(errorResponse{status, e.Code, message(e)}) // texts always have a form in JSON
	c.Data(status, httpx.JSONType, raw)
}

// message is that of e, with what is wrong with each member.
func message(e *apierr.Error) string {
	fields, _ := e.Details["fields"].(map[string]string)
	if len(fields) == 0 {
		return e.Message
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		all = append(all, fmt.Sprintf("%s %s", name, fields[name]))
	}
	return strings.Join(all, "; ")
}

// wrap answers every refusal with 400, the only status of the protocol for one.
func wrap(handle httpx.Handler) gin.HandlerFunc {
	return httpx.Wrap(func(c *gin.Context) error { return asInvalid(handle(c)) })
}

// asInvalid turns a refusal of whatever kind into one that is answered with 400; other failures stay what they are.
func asInvalid(err error) error {
	var e *apierr.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case apierr.Unauthenticated, apierr.Forbidden, apierr.NotFound, apierr.Conflict, apierr.Unprocessable:
		plain := *e
		plain.Kind, plain.Details = apierr.Invalid, nil
		return &plain
	}
	return err
}

// renamed has a problem with masterOrSlaveKey speak of the name in links.
func renamed(err error) error {
	var e *apierr.Error
	if !errors.As(err, &e) {
		return err
	}
	fields, _ := e.Details["fields"].(map[string]string)
	if problem, ok := fields["masterOrSlaveKey"]; ok {
		fields = maps.Clone(fields)
		delete(fields, "masterOrSlaveKey")
		fields["slaveKey"] = problem
		return apierr.InvalidFields(fields)
	}
	return err
}
