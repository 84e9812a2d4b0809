package manage

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/wire"
)

const (
	// bulkChunk is how many licenses change in one transaction, and chunkTime how long that may take: what a killed
	// process was doing is free again after that.
	bulkChunk = 100
	chunkTime = 5 * time.Second
	// maxChange is the longest change of a license that a bulk change shows, in bytes of JSON: ten thousand fit into
	// one answer.
	maxChange = 2 << 10
)

// bulk is a change of many licenses.
type bulk struct {
	name   string
	key    idempotency.Key
	do     licensing.Action
	dryRun bool
	// licenses are the ids, as the caller wrote or as a filter finds them.
	licenses func(ctx context.Context) ([]string, error)
}

type bulkResult struct {
	LicenseID string `json:"license_id"`
	OK        bool   `json:"ok"`
	failure
	// Change is never null; it is empty where nothing changes.
	Change map[string]memberChange `json:"change"`
}

// memberChange is left empty where the change of a license is too long to be shown.
type memberChange struct {
	From json.RawMessage `json:"from,omitempty"`
	To   json.RawMessage `json:"to,omitempty"`
}

// failure is why one of many failed; its codes are null where it did not.
type failure struct {
	ErrorCode *string `json:"error_code"`
	Error     *string `json:"error"`
	// Details is never null.
	Details map[string]any `json:"details"`
}

func newFailure(refusal error) failure {
	f := failure{Details: map[string]any{}}
	if refusal == nil {
		return f
	}
	e := apierr.From(wire.Refusal(refusal))
	f.ErrorCode, f.Error = &e.Code, &e.Message
	if e.Details != nil {
		f.Details = e.Details
	}
	return f
}

type bulkAnswer struct {
	DryRun      bool         `json:"dry_run"`
	Results     []bulkResult `json:"results"`
	OKCount     int          `json:"ok_count"`
	FailedCount int          `json:"failed_count"`
}

// answerBulk carries out a change of many licenses, or tries it, and answers what came of each.
func (m *Manage) answerBulk(c *gin.Context, b bulk) error {
	run := m.tryBulk
	if !b.dryRun {
		run = m.runBulk
	}
	results, err := run(c, b)
	if err != nil {
		return err
	}
	answer := bulkAnswer{DryRun: b.dryRun, Results: results}
	for i := range results {
		if results[i].OK {
			answer.OKCount++
		}
	}
	answer.FailedCount = len(results) - answer.OKCount
	status := http.StatusOK
	if answer.FailedCount > 0 {
		status = http.StatusMultiStatus
	}
	c.PureJSON(status, answer)
	return nil
}

// tryBulk keeps nothing under the key: to ask what would happen may be repeated as often as one likes.
func (m *Manage) tryBulk(c *gin.Context, b bulk) ([]bulkResult, error) {
	ids, err := b.licenses(c.Request.Context())
	if err != nil {
		return nil, err
	}
	results := make([]bulkResult, 0, len(ids))
	err = m.Licenses.Try(c.Request.Context(), rpc.ActorOf(c), ids, b.do, func(r licensing.BulkResult) {
		results = append(results, newBulkResult(r))
	})
	return results, err
}

// errNoneChanged keeps the answers of a chunk of refusals alone from being kept: their cause may be gone by the next
// call.
var errNoneChanged = errors.New("no license of the chunk could be changed")

// runBulk changes the licenses in chunks. Each is one transaction, together with its results under an Idempotency-Key
// of its own, which follows from that of the call: a call that is repeated after it broke off finds what is done, and
// does the rest.
func (m *Manage) runBulk(c *gin.Context, b bulk) ([]bulkResult, error) {
	ctx := c.Request.Context()
	// What a filter finds now is what a repeated call works on.
	ids, err := idempotency.Do(ctx, m.Idempotency, b.key, b.licenses)
	if err != nil {
		return nil, err
	}
	results, changed := make([]bulkResult, 0, len(ids)), false
	for n := 0; len(results) < len(ids); n++ {
		chunk := ids[len(results):min(len(results)+bulkChunk, len(ids))]
		done, fresh, err := m.tryChunk(ctx, b.key.Part(n), rpc.ActorOf(c), chunk, b.do)
		if err != nil {
			return nil, brokenOff(err, len(results), len(ids))
		}
		results, changed = append(results, done...), changed || fresh
		m.Log.InfoContext(ctx, "bulk change", "action", b.name, "done", len(results), "of", len(ids))
	}
	if changed { // not all of it is a repeated answer
		c.Writer.Header().Del(httpx.HeaderReplayed)
	}
	return results, nil
}

// bulkKey is the Idempotency-Key of a call, or one that nobody repeats.
func bulkKey(c *gin.Context) (idempotency.Key, error) {
	body, err := httpx.Body(c)
	if err != nil {
		return idempotency.Key{}, err
	}
	by := rpc.ActorOf(c).GetId()
	key, err := idempotency.FromRequest(c.Request, by, body)
	if err == nil && key.Key == "" {
		key = idempotency.Operation(c.Request, by, "bulk "+rpc.ActorOf(c).GetRequestId()+" "+newOperation(), body)
	}
	return key, err
}

// chunkTries is how often a chunk is begun: it locks many licenses, and the database may end it in favor of somebody
// else.
const chunkTries = 3

func (m *Manage) tryChunk(
	ctx context.Context, key idempotency.Key, by *rpc.Actor, ids []string, do licensing.Action,
) (results []bulkResult, fresh bool, err error) {
	for range chunkTries {
		results, fresh, err = m.runChunk(ctx, key, by, ids, do)
		if !errors.Is(err, apierr.ErrUnavailable) || ctx.Err() != nil {
			break
		}
	}
	return results, fresh, err
}

// runChunk changes some licenses; fresh tells that it was not done before.
func (m *Manage) runChunk(
	ctx context.Context, key idempotency.Key, by *rpc.Actor, ids []string, do licensing.Action,
) (results []bulkResult, fresh bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTime)
	defer cancel()
	var refused []bulkResult
	results, err = idempotency.Do(ctx, m.Idempotency, key, func(ctx context.Context) ([]bulkResult, error) {
		fresh = true
		shown := make([]bulkResult, 0, len(ids))
		err := m.Licenses.Apply(ctx, by, ids, do, func(r licensing.BulkResult) {
			shown = append(shown, newBulkResult(r))
		})
		if err != nil {
			return nil, err
		}
		for i := range shown {
			if shown[i].OK {
				return shown, nil
			}
		}
		refused = shown
		return nil, errNoneChanged
	})
	if errors.Is(err, errNoneChanged) {
		return refused, true, nil
	}
	return results, fresh, err
}

// brokenOff tells how far a bulk change came before an outage or the end of its time.
func brokenOff(err error, done, of int) error {
	if e := apierr.From(err); e.Kind == apierr.Unavailable {
		return e.With("done", done).With("of", of).
			WithMessagef(
				"%d of %d licenses are done; repeat the call with the same Idempotency-Key to have the rest done",
				done, of)
	}
	return err
}

func newBulkResult(r licensing.BulkResult) bulkResult {
	change := newChange(r.Before, r.After)
	if r.Refusal != nil {
		change = map[string]memberChange{}
	}
	return bulkResult{r.LicenseID, r.Refusal == nil, newFailure(r.Refusal), change}
}

func newChange(before, after map[string]any) map[string]memberChange {
	change, size := make(map[string]memberChange, len(after)), 0
	for name := range after {
		from, _ := json.Marshal(before[name]) // values of the audit log always marshal
		to, _ := json.Marshal(after[name])
		change[name] = memberChange{from, to}
		size += len(name) + len(from) + len(to)
	}
	if size > maxChange {
		for name := range change {
			change[name] = memberChange{}
		}
	}
	return change
}
