package licensespring

import (
	"errors"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// isCode reports whether err is the refusal with this code.
func isCode(err error, code string) bool {
	var e *apierr.Error
	return errors.As(err, &e) && e.Code == code
}
