package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/block"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// blockBody is a block as the public API shows it. Of a component nothing but its name is known.
type blockBody struct {
	BlockID    string         `json:"block_id"`
	HardwareID *string        `json:"hardware_id"`
	Network    *string        `json:"network"`
	Component  *componentName `json:"component"`
	LicenseID  *string        `json:"license_id"`
	Product    *string        `json:"product"`
	Reason     string         `json:"reason"`
	Until      *time.Time     `json:"until"`
	CreatedAt  time.Time      `json:"created_at"`
}

type componentName struct {
	Name string `json:"name"`
}

func newBlockBody(b licensing.Block) blockBody {
	body := blockBody{
		BlockID:    b.ID,
		HardwareID: httpx.TextOrNull(b.HardwareID),
		LicenseID:  httpx.TextOrNull(b.LicenseID),
		Product:    httpx.TextOrNull(b.Product),
		Reason:     b.Reason,
		Until:      httpx.TimeOrNull(b.Until),
		CreatedAt:  b.CreatedAt.UTC(),
	}
	if b.Network.IsValid() {
		body.Network = httpx.TextOrNull(b.Network.String())
	}
	if name := b.Component.Name; name != "" {
		body.Component = &componentName{name}
	}
	return body
}

// newBlock is a block to make.
type newBlock struct {
	HardwareID string        `json:"hardware_id" text:"identifier" empty:"no"`
	Network    string        `json:"network" text:"identifier" empty:"no"`
	Component  *component    `json:"component"`
	LicenseID  string        `json:"license_id" text:"identifier" empty:"no"`
	Product    string        `json:"product" text:"identifier" empty:"no"`
	Reason     string        `json:"reason"`
	Until      *jsonbody.End `json:"until"`
}

type component struct {
	Name  string `json:"name" text:"identifier"`
	Value string `json:"value" text:"identifier"`
}

// Unsettable implements jsonbody.Unsettable.
func (newBlock) Unsettable() map[string]string {
	return map[string]string{"block_id": "it is made", "created_at": ""}
}

func (n newBlock) wanted() block.NewBlock {
	return block.NewBlock{
		HardwareID: n.HardwareID,
		Network:    n.Network,
		Component:  (*licensing.Component)(n.Component),
		LicenseID:  canonicalID(n.LicenseID),
		Product:    n.Product,
		Reason:     n.Reason,
		Until:      endOrNil(n.Until),
	}
}

func (m *Manage) createBlock(c *gin.Context) error {
	var in newBlock
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (blockBody, error) {
		b, err := m.Blocks.Add(ctx, by, in.wanted())
		return newBlockBody(b), err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusCreated, body)
	return nil
}

func (m *Manage) listBlocks(c *gin.Context) error {
	return answerList(c, inTime, m.Blocks.Store.Blocks, func(items []licensing.Block, page pageBody) any {
		return struct {
			Blocks []blockBody `json:"blocks"`
			pageBody
		}{bodies(items, newBlockBody), page}
	})
}

func (m *Manage) deleteBlock(c *gin.Context) error {
	id := pathID(c, "block_id")
	if err := m.Blocks.Remove(c.Request.Context(), rpc.ActorOf(c), id); err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, struct {
		BlockID string `json:"block_id"`
		Deleted bool   `json:"deleted"`
	}{id, true})
	return nil
}
