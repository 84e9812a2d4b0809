package manage

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// organisationBody is an organisation as the public API shows it.
type organisationBody struct {
	Organisation string    `json:"organisation"`
	Name         string    `json:"name"`
	TotalCredit  int       `json:"total_credit"`
	UsedCredit   int       `json:"used_credit"`
	CreatedAt    time.Time `json:"created_at"`
}

func newOrganisationBody(o delegation.Organisation) organisationBody {
	return organisationBody{
		Organisation: o.ID,
		Name:         o.Name,
		TotalCredit:  o.TotalCredit,
		UsedCredit:   o.UsedCredit,
		CreatedAt:    o.CreatedAt.UTC(),
	}
}

// newOrganisation is an organisation to create.
type newOrganisation struct {
	Name    string `json:"name" text:"identifier"`
	Credits int    `json:"credits"`
}

// Unsettable implements jsonbody.Unsettable.
func (newOrganisation) Unsettable() map[string]string {
	return map[string]string{
		"organisation": "it is made", "total_credit": "send credits", "used_credit": "it is counted", "created_at": "",
	}
}

// newCredit adds to the credits of an organisation.
type newCredit struct {
	Amount int    `json:"amount"`
	Reason string `json:"reason" text:"identifier"`
}

// chargeBody is a line of the account of an organisation.
type chargeBody struct {
	ChargeID    string `json:"charge_id"`
	Kind        string `json:"kind"`
	Amount      int    `json:"amount"`
	TotalCredit int    `json:"total_credit"`
	UsedCredit  int    `json:"used_credit"`
	// Reason and the actor are null for an activation, the others for credits.
	Reason     *string   `json:"reason"`
	ActorID    *string   `json:"actor_id"`
	ActorName  *string   `json:"actor_name"`
	Master     *string   `json:"master"`
	Slave      *string   `json:"slave"`
	LicenseID  *string   `json:"license_id"`
	RuntimeKey *string   `json:"runtime_key"`
	At         time.Time `json:"at"`
}

func newChargeBody(c delegation.Charge) chargeBody {
	return chargeBody{
		ChargeID:    c.ID,
		Kind:        c.Kind,
		Amount:      c.Amount,
		TotalCredit: c.TotalCredit,
		UsedCredit:  c.UsedCredit,
		Reason:      httpx.TextOrNull(c.Reason),
		ActorID:     httpx.TextOrNull(c.ActorID),
		ActorName:   httpx.TextOrNull(c.ActorName),
		Master:      httpx.TextOrNull(c.MasterID),
		Slave:       httpx.TextOrNull(c.SlaveID),
		LicenseID:   httpx.TextOrNull(c.LicenseID),
		RuntimeKey:  httpx.TextOrNull(c.RuntimeKey),
		At:          c.At.UTC(),
	}
}

var delegatedID = regexp.MustCompile("^[0-9a-f]{24}$")

// delegatedPathID reads the id of an organisation, master or slave of the path. What is none becomes empty, which
// nothing has as its id.
func delegatedPathID(c *gin.Context, name string) string {
	if id := c.Param(name); delegatedID.MatchString(id) {
		return id
	}
	return ""
}

// inDelegated reports whether a position is one of a list of organisations, masters or slaves.
func inDelegated(p *licensing.Position) bool {
	return p.At.Year() >= 1970 && p.At.Year() <= 9999 && delegatedID.MatchString(p.Key)
}

func (m *Manage) createOrganisation(c *gin.Context) error {
	var in newOrganisation
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (organisationBody, error) {
		o, err := m.Delegation.Create(ctx, by, in.Name, in.Credits)
		return newOrganisationBody(o), err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusCreated, body)
	return nil
}

func (m *Manage) listOrganisations(c *gin.Context) error {
	return answerList(c, inDelegated, m.Delegation.Store.Organisations,
		func(items []delegation.Organisation, page pageBody) any {
			return struct {
				Organisations []organisationBody `json:"organisations"`
				pageBody
			}{bodies(items, newOrganisationBody), page}
		})
}

func (m *Manage) getOrganisation(c *gin.Context) error {
	o, err := m.Delegation.Store.Organisation(c.Request.Context(), delegatedPathID(c, "organisation"))
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, newOrganisationBody(o))
	return nil
}

func (m *Manage) addCredit(c *gin.Context) error {
	var in newCredit
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (organisationBody, error) {
		o, err := m.Delegation.AddCredit(ctx, by, delegatedPathID(c, "organisation"), in.Amount, in.Reason)
		return newOrganisationBody(o), err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, body)
	return nil
}

func (m *Manage) listCharges(c *gin.Context) error {
	span, err := querySpan(c, inTime)
	if err != nil {
		return err
	}
	page, err := m.Delegation.Store.Charges(c.Request.Context(), delegatedPathID(c, "organisation"), span)
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, struct {
		Charges []chargeBody `json:"charges"`
		pageBody
	}{bodies(page.Items, newChargeBody), newPageBody(span, page)})
	return nil
}
