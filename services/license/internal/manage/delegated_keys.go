package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
)

// masterBody is a master as the public API shows it.
type masterBody struct {
	Master          string     `json:"master"`
	Organisation    string     `json:"organisation"`
	Product         string     `json:"product"`
	OperatingSystem string     `json:"operating_system"`
	Comment         *string    `json:"comment"`
	LicenseID       string     `json:"license_id"`
	CreatedAt       time.Time  `json:"created_at"`
	RevokedAt       *time.Time `json:"revoked_at"`
}

func newMasterBody(m delegation.Master) masterBody {
	return masterBody{
		Master:          m.ID,
		Organisation:    m.OrganisationID,
		Product:         m.Product,
		OperatingSystem: m.OperatingSystem,
		Comment:         httpx.TextOrNull(m.Comment),
		LicenseID:       m.LicenseID,
		CreatedAt:       m.CreatedAt.UTC(),
		RevokedAt:       httpx.TimeOrNull(m.RevokedAt),
	}
}

// madeMasterBody is the answer of its creation, the only one with the key.
type madeMasterBody struct {
	masterBody
	MasterKey    string `json:"master_key"`
	PublicKeyPEM string `json:"public_key_pem"`
}

// newMaster is a master to create.
type newMaster struct {
	Product         string  `json:"product" text:"identifier" empty:"no"`
	OperatingSystem string  `json:"operating_system" text:"identifier"`
	Comment         string  `json:"comment" text:"identifier"`
	LicenseID       *string `json:"license_id" text:"identifier" empty:"no"`
	MasterKey       string  `json:"master_key" text:"identifier"`
}

// Unsettable implements jsonbody.Unsettable.
func (newMaster) Unsettable() map[string]string {
	return map[string]string{
		"master": "it is made", "public_key_pem": "", "created_at": "",
		"organisation": "the path names it", "revoked_at": "delete the master",
	}
}

func (n *newMaster) wanted() delegation.WantedMaster {
	w := delegation.WantedMaster{
		Product: n.Product, OperatingSystem: n.OperatingSystem, Comment: n.Comment, Key: n.MasterKey,
	}
	if n.LicenseID != nil {
		w.LicenseID = canonicalID(*n.LicenseID)
	}
	return w
}

// slaveBody is a slave as the public API shows it.
type slaveBody struct {
	Slave        string  `json:"slave"`
	Organisation string  `json:"organisation"`
	Master       string  `json:"master"`
	Comment      *string `json:"comment"`
	Used         bool    `json:"used"`
	// RuntimeKey and UsedAt are null before the key has activated a device.
	RuntimeKey *string    `json:"runtime_key"`
	CreatedAt  time.Time  `json:"created_at"`
	UsedAt     *time.Time `json:"used_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
}

func newSlaveBody(v delegation.Slave) slaveBody {
	return slaveBody{
		Slave:        v.ID,
		Organisation: v.OrganisationID,
		Master:       v.MasterID,
		Comment:      httpx.TextOrNull(v.Comment),
		Used:         !v.UsedAt.IsZero(),
		RuntimeKey:   httpx.TextOrNull(v.RuntimeKey),
		CreatedAt:    v.CreatedAt.UTC(),
		UsedAt:       httpx.TimeOrNull(v.UsedAt),
		RevokedAt:    httpx.TimeOrNull(v.RevokedAt),
	}
}

func (m *Manage) createMaster(c *gin.Context) error {
	var in newMaster
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (madeMasterBody, error) {
		made, err := m.Delegation.AddMaster(ctx, by, delegatedPathID(c, "organisation"), in.wanted())
		return madeMasterBody{newMasterBody(made.Master), made.Key, file.PublicPEM(made.PublicKey)}, err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusCreated, body)
	return nil
}

func (m *Manage) listMasters(c *gin.Context) error {
	span, err := querySpan(c, inDelegated)
	if err != nil {
		return err
	}
	page, err := m.Delegation.Store.Masters(c.Request.Context(), delegatedPathID(c, "organisation"), span)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, struct {
		Masters []masterBody `json:"masters"`
		pageBody
	}{bodies(page.Items, newMasterBody), newPageBody(span, page)})
	return nil
}

func (m *Manage) listSlaves(c *gin.Context) error {
	span, err := querySpan(c, inDelegated)
	if err != nil {
		return err
	}
	page, err := m.Delegation.Store.Slaves(c.Request.Context(), delegatedPathID(c, "organisation"), span)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, struct {
		Slaves []slaveBody `json:"slaves"`
		pageBody
	}{bodies(page.Items, newSlaveBody), newPageBody(span, page)})
	return nil
}

func (m *Manage) revokeMaster(c *gin.Context) error {
	gone, err := m.Delegation.RevokeMaster(c.Request.Context(), rpc.ActorOf(c), delegatedPathID(c, "master"))
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, newMasterBody(gone))
	return nil
}

func (m *Manage) revokeSlave(c *gin.Context) error {
	gone, err := m.Delegation.RevokeSlave(c.Request.Context(), rpc.ActorOf(c), delegatedPathID(c, "slave"))
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, newSlaveBody(gone))
	return nil
}
