package manage

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

func (m *Manage) adjustCounter(c *gin.Context) error {
	var in struct {
		Amount *int64 `json:"amount"`
		Reason string `json:"reason"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	wanted := counter.Correction{Action: counter.EntryAdjusted, Reason: in.Reason}
	return m.correct(c, wanted, "amount", in.Amount, -licensing.MaxCount)
}

func (m *Manage) setCounter(c *gin.Context) error {
	var in struct {
		Used   *int64 `json:"used"`
		Reason string `json:"reason"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	return m.correct(c, counter.Correction{Action: counter.EntrySet, Reason: in.Reason}, "used", in.Used, 0)
}

func (m *Manage) resetCounter(c *gin.Context) error {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	return m.correct(c, counter.Correction{Action: counter.EntryReset, Reason: in.Reason}, "", new(int64), 0)
}

type correctedBody struct {
	LicenseID string `json:"license_id"`
	wire.Counter
	// Clamped tells that the result would have been below 0, or too large.
	Clamped bool `json:"clamped"`
}

// correct carries out a correction with a number, the member of the body called name, which is at least the number
// least.
func (m *Manage) correct(c *gin.Context, wanted counter.Correction, name string, number *int64, least int64) error {
	bad := apierr.Fields{}
	bad.MaxLen("reason", wanted.Reason, maxText)
	switch {
	case number == nil:
		bad.Add(name, "is required")
	case *number < least || *number > licensing.MaxCount:
		bad.Add(name, fmt.Sprintf("must be from %d to %d", least, licensing.MaxCount))
	default:
		wanted.Number = *number
	}
	if err := bad.Err(); err != nil {
		return err
	}
	wanted.Counter = counterName(c)
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (correctedBody, error) {
		done, err := m.Counters.Correct(ctx, by, licenseID(c), wanted)
		return correctedBody{licenseID(c), wire.NewCounter(&done.State), done.Clamped}, err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, body)
	return nil
}
