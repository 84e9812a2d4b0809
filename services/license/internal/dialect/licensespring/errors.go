package licensespring

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/license/internal/lease"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// unauthenticated is a refusal that counts as a wrong credential; its status is 400 as that of nearly all refusals.
func unauthenticated(code, message string) *apierr.Error {
	return apierr.New(apierr.Unauthenticated, code, message)
}

func invalid(code, message string) *apierr.Error { return apierr.New(apierr.Invalid, code, message) }

// The refusals that the main API does not know, by the codes that the clients know.
var (
	errMissingHeaders = unauthenticated("missing_headers",
		"some headers are missing: Authorization and Date are required")
	errMissingParams = unauthenticated("authorization_missing_params",
		"some parameters are missing in authorization: algorithm, headers, signature and apikey are required")
	errInvalidHeaders = unauthenticated("authorization_invalid_headers",
		"the headers Authorization and Date must be sent once each, as in "+
			`algorithm="hmac-sha256",headers="date",signature="...",apikey="..."`)
	errHMACRequired = unauthenticated("hmac_required", `the algorithm of the signature must be "hmac-sha256"`)
	errDateForm     = invalid(errInvalidHeaders.Code, "the Date header must be as in Tue, 07 Jun 2011 20:51:35 GMT")
	errDateDiff     = invalid("date_header_diff",
		"the Date header is more than 15 minutes from the time of the server; set the clock")
	errAPIKey    = unauthenticated("invalid_api_key", "no integration has this API key")
	errRevoked   = unauthenticated("revoked_api_key", "this API key was revoked or replaced")
	errSignature = unauthenticated("signature_mismatch",
		"the signature is not that of the shared key over what has to be signed")
	errReadOnly = invalid("read_only_api_key", "this API key may not change anything")
	errNoSlot   = invalid(errReadOnly.Code, "the device has no slot, and this API key may not take one")

	errProductNotAllowed = invalid("api_key_product_not_allowed", "this API key is not for the product")
	errUnknownProduct    = invalid("unknown_product", "there is no product with this short code")
	errDisabledProduct   = invalid("disabled_product", "the product is switched off")
	errNoHardwareID      = invalid("missing_hardware_id", "hardware_id is required")
	errKeyRequired       = invalid("license_key_required", "licenses of this product are used by their license_key")
	errUserRequired      = invalid("missing_parameters", "licenses of this product are used by username and password")
	errNoConsumption     = invalid("license_type_not_allowed", "the license counts no consumption")
	errBorrowUntil       = invalid("borrow_until_not_valid",
		"borrowed_until must be a time ahead, no further than max_borrow_time")
	errOfflineType = invalid("license_type_not_allowed",
		"only trial, perpetual and consumption licenses can be activated offline")
	errOfflineFloating = invalid("license_type_not_allowed",
		"floating licenses cannot be activated offline: their slots are given by the server")
	errNoRoom = invalid("not_enough_consumptions",
		"fewer consumptions are left than this call needs; wait for the reset or ask the vendor for a higher limit")
	errTrialExpired = invalid("trial_expired", "the trial has expired")
	errVM           = invalid("vm_not_allowed", "the license is not for use in a virtual machine")
)

// codes are the clients' words for codes of the main API. Others are the same in lower case.
var codes = map[string]string{
	errcode.LicenseInactive:         "license_not_enabled",
	errcode.LicenseSuspended:        "license_not_enabled",
	errcode.ProductInactive:         "disabled_product",
	errcode.DeviceLimitExceeded:     "license_activated_max_times",
	errcode.GroupLimitExceeded:      "license_activated_max_times",
	errcode.UserDeviceLimitExceeded: "license_activated_max_times",
	errcode.DeviceNotActivated:      "device_not_found",
	errcode.DeviceBlocked:           "blacklisted",
	errcode.TransferLimit:           "max_transfers_reached",
	errcode.EntitlementMissing:      "unsupported_product_feature",
	errcode.EntitlementExpired:      "product_feature_expired",
	errcode.LeaseLimitExceeded:      "floating_slots_exceeded",
	errcode.CounterNotFound:         "unsupported_product_feature",
	errcode.InternalError:           "internal_error",
}

// wrap makes a handler of one that returns refusals of the rules.
func wrap(handle httpx.Handler) gin.HandlerFunc {
	return httpx.Wrap(func(c *gin.Context) error { return telling(handle(c)) })
}

// telling is err with the code that clients expect where the facts of a refusal decide it.
func telling(err error) error {
	var verdict *licensing.RefusedError
	var borrow *lease.BorrowError
	if errors.As(err, &borrow) {
		return errBorrowUntil
	}
	if !errors.As(err, &verdict) {
		return err
	}
	switch {
	case errors.Is(err, licensing.ErrConsumption):
		return errNoRoom // our word for it is the name of a counter, which clients do not know
	case errors.Is(err, licensing.ErrExpired) && verdict.License.IsTrial:
		return errTrialExpired
	case errors.Is(err, licensing.ErrEnvironment) && verdict.Around.Broken(verdict.License) == "prevent_vm":
		return errVM
	}
	return err
}

// errorBody is what every refusal looks like; those of the token endpoint have more members.
type errorBody struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
	// Error and ErrorDescription are those of OAuth (RFC 6749).
	Error            string `json:"error,omitzero"`
	ErrorDescription string `json:"error_description,omitzero"`
}

// WriteError answers with status, code and message.
func WriteError(c *gin.Context, e *apierr.Error) {
	body := errorBody{Status: statusOf(e), Code: codes[e.Code], Message: e.Message}
	if body.Code == "" {
		body.Code = strings.ToLower(e.Code)
	}
	if fields, ok := e.Details["fields"].(map[string]string); ok {
		body.Message = strings.Join(wrong(fields), "; ")
	}
	if status := oauthStatuses[e.Code]; status != 0 {
		body.Status = status
	}
	if strings.TrimSuffix(c.Request.URL.Path, "/") == Path+tokenPath { // whatever it is: clients look for error there
		body.Error, body.ErrorDescription = body.Code, body.Message
	}
	if body.Status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", `Basic realm="latchkey"`)
	}
	c.Data(body.Status, httpx.JSONType, printed(body))
}

func wrong(fields map[string]string) (problems []string) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		problems = append(problems, fmt.Sprintf("%s %s", name, fields[name]))
	}
	return problems
}

// statusOf is 400 for all that clients did wrong, except what is not about the license.
func statusOf(e *apierr.Error) int {
	status := e.Kind.Status()
	switch {
	case status >= http.StatusInternalServerError, e.Code == errcode.NotFound:
		return status
	case e.Kind == apierr.MethodNotAllowed, e.Kind == apierr.TooLarge, e.Kind == apierr.UnsupportedMedia,
		e.Kind == apierr.RateLimited:
		return status
	}
	return http.StatusBadRequest
}
