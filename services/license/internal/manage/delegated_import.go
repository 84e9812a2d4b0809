package manage

import (
	"cmp"
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
)

// importedSlaves is the body of an import of slaves.
type importedSlaves struct {
	Slaves []jsonbody.Row[importedSlave] `json:"slaves" max:"500"`
}

type importedSlave struct {
	SlaveKey   string `json:"slave_key" text:"identifier"`
	Comment    string `json:"comment" text:"identifier"`
	RuntimeKey string `json:"runtime_key" text:"identifier"`
}

// slaveResult is what became of one: created, updated, unchanged or failed.
type slaveResult struct {
	Index   int    `json:"index"`
	Outcome string `json:"outcome"`
	// Slave is null for one that failed.
	Slave *slaveBody `json:"slave"`
	failure
}

type importedSlavesBody struct {
	Results   []slaveResult `json:"results"`
	Created   int           `json:"created_count"`
	Updated   int           `json:"updated_count"`
	Unchanged int           `json:"unchanged_count"`
	Failed    int           `json:"failed_count"`
}

// importSlaves takes over slaves of another system, each standing alone.
func (m *Manage) importSlaves(c *gin.Context) error {
	var in importedSlaves
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	if len(in.Slaves) == 0 {
		return apierr.InvalidField("slaves", "must have at least one entry")
	}
	masterID := delegatedPathID(c, "master")
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (importedSlavesBody, error) {
		answer := importedSlavesBody{Results: []slaveResult{}}
		master, err := m.Delegation.Store.Master(ctx, masterID)
		if err != nil || !master.RevokedAt.IsZero() {
			return answer, cmp.Or(err, error(delegation.ErrMasterRevoked))
		}
		imports := delegation.Import{Keys: m.DelegatedKeys, By: by, Master: master}
		for i := range in.Slaves {
			v, outcome, err := importSlave(ctx, &imports, &in.Slaves[i])
			answer.add(i, v, outcome, err)
		}
		return answer, nil
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if body.Failed > 0 {
		status = http.StatusMultiStatus
	}
	c.PureJSON(status, body)
	return nil
}

func importSlave(
	ctx context.Context, imports *delegation.Import, row *jsonbody.Row[importedSlave],
) (delegation.Slave, delegation.Imported, error) {
	if err := row.Err(); err != nil {
		return delegation.Slave{}, "", err
	}
	sent, bad := row.Value, apierr.Fields{}
	if bad.Require("slave_key", sent.SlaveKey); len(bad) > 0 {
		return delegation.Slave{}, "", bad.Err()
	}
	return imports.Slave(ctx, delegation.ImportedSlave{
		Key: sent.SlaveKey, Comment: sent.Comment, RuntimeKey: sent.RuntimeKey,
	})
}

func (b *importedSlavesBody) add(index int, v delegation.Slave, outcome delegation.Imported, err error) {
	result := slaveResult{Index: index, Outcome: string(outcome), failure: newFailure(err)}
	switch {
	case err != nil:
		result.Outcome = string(failed)
		b.Failed++
	case outcome == delegation.Created:
		b.Created++
	case outcome == delegation.Updated:
		b.Updated++
	default:
		b.Unchanged++
	}
	if err == nil {
		result.Slave = new(newSlaveBody(v))
	}
	b.Results = append(b.Results, result)
}
