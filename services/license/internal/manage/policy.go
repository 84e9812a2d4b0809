package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
)

// policyBody is a policy as the public API shows it.
type policyBody struct {
	PolicyID string  `json:"policy_id"`
	Code     string  `json:"code"`
	Name     string  `json:"name"`
	Product  *string `json:"product"`
	termsBody
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func newPolicyBody(p catalog.Policy) policyBody {
	return policyBody{
		PolicyID:  p.ID,
		Code:      p.Code,
		Name:      p.Name,
		Product:   httpx.TextOrNull(p.Product),
		termsBody: newTermsBody(&p.Terms, time.Time{}), // whatever their ends
		Version:   p.Version,
		CreatedAt: p.CreatedAt.UTC(),
		UpdatedAt: p.UpdatedAt.UTC(),
	}
}

// newPolicy is a policy to create.
type newPolicy struct {
	Code    string  `json:"code" text:"identifier"`
	Name    *string `json:"name" text:"identifier"`
	Product string  `json:"product" text:"identifier" empty:"no"`
	newTerms
}

// Unsettable implements jsonbody.Unsettable.
func (newPolicy) Unsettable() map[string]string { return madeMembers("policy_id") }

func (n newPolicy) wanted() catalog.NewPolicy {
	return catalog.NewPolicy{
		Code:         n.Code,
		Product:      n.Product,
		PolicyChange: catalog.PolicyChange{Name: n.Name, TermsChange: n.newTerms.change()},
	}
}

// policyChange is what PATCH takes: only the members that are present change.
type policyChange struct {
	Name jsonbody.Optional[string] `json:"name" text:"identifier"`
	changedTerms
}

// Unsettable implements jsonbody.Unsettable.
func (policyChange) Unsettable() map[string]string {
	members := fixedMembers("policy_id")
	members["product"] = "it cannot change; make another policy"
	return members
}

func (p policyChange) change() catalog.PolicyChange {
	return catalog.PolicyChange{Name: p.Name.Pointer(), TermsChange: p.changedTerms.change()}
}

func (m *Manage) createPolicy(c *gin.Context) error {
	var in newPolicy
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (policyBody, error) {
		p, err := m.Policies.Create(ctx, by, in.wanted())
		return newPolicyBody(p), err
	})
	if err != nil {
		return err
	}
	return show(c, http.StatusCreated, body.Version, body)
}

func (m *Manage) listPolicies(c *gin.Context) error {
	return answerList(c, inCodes, m.Policies.Store.Policies, func(items []catalog.Policy, page pageBody) any {
		return struct {
			Policies []policyBody `json:"policies"`
			pageBody
		}{bodies(items, newPolicyBody), page}
	})
}

func (m *Manage) getPolicy(c *gin.Context) error {
	p, err := m.Policies.Store.FindPolicy(c.Request.Context(), code(c))
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, p.Version, newPolicyBody(p))
}

func (m *Manage) updatePolicy(c *gin.Context) error {
	var in policyChange
	version, err := bindChange(c, &in)
	if err != nil {
		return err
	}
	p, err := m.Policies.Update(c.Request.Context(), rpc.ActorOf(c), code(c), version, in.change())
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, p.Version, newPolicyBody(p))
}

// deletePolicy removes a policy; its licenses stay as they are.
func (m *Manage) deletePolicy(c *gin.Context) error {
	version, err := ifVersion(c)
	if err != nil {
		return err
	}
	if err := m.Policies.Delete(c.Request.Context(), rpc.ActorOf(c), code(c), version); err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, deletedCode{Code: code(c), Deleted: true})
	return nil
}

// policyName is the body of change-policy.
type policyName struct {
	Policy string `json:"policy" text:"identifier"`
}

// changePolicy gives a license the terms of a policy.
func (m *Manage) changePolicy(c *gin.Context) error {
	var in policyName
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (licenseBody, error) {
		l, err := m.Licenses.ChangePolicy(ctx, by, licenseID(c), in.Policy)
		return newLicenseBody(&l, m.Clock.Now()), err
	})
	if err != nil {
		return err
	}
	return show(c, http.StatusOK, body.Version, body)
}
