package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/services/license/internal/counter"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

// consumeRequest names a counter, or an entitlement whose counter it is.
type consumeRequest struct {
	deviceRequest
	Counter     string `json:"counter" text:"identifier"`
	Entitlement string `json:"entitlement" text:"identifier"`
	Amount      *int64 `json:"amount"`
	OperationID string `json:"operation_id" text:"identifier" empty:"no"`
}

type consumeResponse struct {
	LicenseID string `json:"license_id"`
	wire.Counter
	OperationID *string `json:"operation_id"`
	// Undone is there for the repetition of an operation that was undone.
	Undone bool `json:"undone,omitempty"`
}

func (a *API) bindConsume(c *gin.Context) (*consumeRequest, error) {
	req := &consumeRequest{}
	if err := httpx.Bind(c, req); err != nil {
		return nil, err
	}
	f := apierr.Fields{}
	req.deviceRequest.check(f)
	wire.CounterProblems(f, req.Counter, req.Entitlement)
	f.MaxLen("counter", req.Counter, maxText)
	f.MaxLen("entitlement", req.Entitlement, maxText)
	f.MaxLen("operation_id", req.OperationID, maxText)
	if req.Amount != nil {
		checkAmount(f, "amount", *req.Amount)
	}
	if len(f) > 0 {
		return nil, f.Err()
	}
	return req, a.identify(c, &req.deviceRequest)
}

func checkAmount(f apierr.Fields, name string, amount int64) {
	if amount < -licensing.MaxCount || amount > licensing.MaxCount {
		f.Add(name, fmt.Sprintf("must be a whole number up to %d", licensing.MaxCount))
	}
}

func (r *consumeRequest) use() counter.Use {
	amount := int64(1)
	if r.Amount != nil {
		amount = *r.Amount
	}
	u := counter.Use{OperationID: r.OperationID, Member: "amount"}
	if r.Entitlement != "" {
		u.Entitlement, u.Amount = r.Entitlement, amount
	} else {
		u.Amounts = map[string]int64{r.Counter: amount}
	}
	return u
}

func (a *API) consume(c *gin.Context) error {
	req, err := a.bindConsume(c)
	if err != nil {
		return err
	}
	resp, err := idempotency.Answer(c, a.Idempotency, a.deviceScope(c, &req.deviceRequest),
		func(ctx context.Context) (consumeResponse, error) {
			done, err := a.Counters.Consume(ctx, req.LicenseKey, req.client(c), req.use())
			if err != nil {
				return consumeResponse{}, err
			}
			return consumeResponse{
				LicenseID:   done.License.ID,
				Counter:     wire.NewCounter(&done.States[0]),
				OperationID: httpx.TextOrNull(done.OperationID),
				Undone:      done.Undone,
			}, nil
		})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, resp)
	return nil
}

type undoResponse struct {
	LicenseID   string    `json:"license_id"`
	OperationID string    `json:"operation_id"`
	UndoneAt    time.Time `json:"undone_at"`
	// Refunded is what was given back, by the names of counters.
	Refunded map[string]int64 `json:"refunded"`
	// Counters are what they show now.
	Counters map[string]wire.Counter `json:"counters"`
}

func (a *API) undoConsume(c *gin.Context) error {
	var req struct {
		deviceRequest
		OperationID string `json:"operation_id" text:"identifier"`
	}
	if err := httpx.Bind(c, &req); err != nil {
		return err
	}
	f := apierr.Fields{}
	req.deviceRequest.check(f)
	f.Require("operation_id", req.OperationID)
	f.MaxLen("operation_id", req.OperationID, maxText)
	if err := f.Err(); err != nil {
		return err
	}
	if err := a.identify(c, &req.deviceRequest); err != nil {
		return err
	}
	scope := a.deviceScope(c, &req.deviceRequest)
	resp, err := idempotency.Answer(c, a.Idempotency, scope,
		func(ctx context.Context) (undoResponse, error) {
			undone, err := a.Counters.Undo(ctx, req.LicenseKey, req.client(c),
				req.OperationID, counter.KeyedOperation(scope, req.OperationID))
			if err != nil {
				return undoResponse{}, err
			}
			return undoResponse{
				LicenseID:   undone.License.ID,
				OperationID: req.OperationID,
				UndoneAt:    undone.UndoneAt,
				Refunded:    undone.Refunded,
				Counters:    wire.NewCounters(undone.States),
			}, nil
		})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, resp)
	return nil
}
