package manage

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// bulkRequest is the body of a bulk change. What P holds depends on the action.
type bulkRequest[P any] struct {
	Action     string      `json:"action"`
	Params     P           `json:"params"`
	LicenseIDs []string    `json:"license_ids" text:"identifier" max:"10000"`
	Filter     *bulkFilter `json:"filter"`
	// DryRun is true where it is left out.
	DryRun *bool `json:"dry_run"`
}

// bulkFilter selects licenses as the parameters of the list do.
type bulkFilter struct {
	CustomerID  *string `json:"customer_id" text:"identifier"`
	HardwareID  *string `json:"hardware_id" text:"identifier"`
	Product     *string `json:"product" text:"identifier"`
	Policy      *string `json:"policy" text:"identifier"`
	GroupID     *string `json:"group_id" text:"identifier"`
	LicenseType string  `json:"license_type"`
	Status      string  `json:"status"`
	Search      *string `json:"search" text:"identifier"`
	IsActive    *bool   `json:"is_active"`
	IsTest      *bool   `json:"is_test"`
	IsTrial     *bool   `json:"is_trial"`
	// Metadata has what the parameters metadata.<key> have.
	Metadata      map[string]string `json:"metadata"`
	CreatedAfter  *time.Time        `json:"created_after"`
	CreatedBefore *time.Time        `json:"created_before"`
	ExpiresAfter  *time.Time        `json:"expires_after"`
	ExpiresBefore *time.Time        `json:"expires_before"`
}

func (f *bulkFilter) wanted() licensing.Filter {
	return licensing.Filter{
		CustomerID:    f.CustomerID,
		HardwareID:    f.HardwareID,
		Product:       f.Product,
		Policy:        f.Policy,
		GroupID:       f.GroupID,
		LicenseType:   f.LicenseType,
		Status:        licensing.Status(f.Status),
		Search:        f.Search,
		IsActive:      f.IsActive,
		IsTest:        f.IsTest,
		IsTrial:       f.IsTrial,
		Metadata:      f.Metadata,
		CreatedAfter:  f.CreatedAfter,
		CreatedBefore: f.CreatedBefore,
		ExpiresAfter:  f.ExpiresAfter,
		ExpiresBefore: f.ExpiresBefore,
	}
}

func (f *bulkFilter) check(bad apierr.Fields) {
	if reflect.ValueOf(*f).IsZero() || f.Metadata != nil && len(f.Metadata) == 0 {
		bad.Add("filter", "must have at least one member, or all licenses would change")
	}
	for name, text := range map[string]*string{
		"customer_id": f.CustomerID, "hardware_id": f.HardwareID, "product": f.Product, "policy": f.Policy,
		"search": f.Search,
	} {
		if text != nil {
			bad.Require("filter."+name, *text)
			bad.MaxLen("filter."+name, *text, maxText)
		}
	}
	if f.GroupID != nil {
		id, ok := uid.Parse(*f.GroupID)
		if *f.GroupID = id; !ok {
			bad.Add("filter.group_id", "must be the group_id of a group")
		}
	}
	checkMetadata(bad, "filter.metadata", f.Metadata)
	bad.OneOf("filter.license_type", cmp.Or(f.LicenseType, types[0]), types...)
	bad.OneOf("filter.status", cmp.Or(f.Status, statuses[0]), statuses...)
}

// bulkActions are what can be done to many licenses, by the names that callers use.
var bulkActions = map[string]func(*Manage, *gin.Context) (bulk, error){
	"renew": func(m *Manage, c *gin.Context) (bulk, error) {
		return bindBulk(m, c, func(p renewal) (licensing.Action, error) {
			return m.Licenses.RenewAll(p.wanted())
		})
	},
	"suspend": func(m *Manage, c *gin.Context) (bulk, error) {
		return bindBulk(m, c, func(p suspension) (licensing.Action, error) {
			return m.Licenses.SuspendAll(p.wanted())
		})
	},
	"reinstate": func(m *Manage, c *gin.Context) (bulk, error) {
		return bindBulk(m, c, func(struct{}) (licensing.Action, error) { return m.Licenses.ReinstateAll(), nil })
	},
	"deactivate": func(m *Manage, c *gin.Context) (bulk, error) {
		return bindBulk(m, c, func(p deactivation) (licensing.Action, error) {
			return m.Licenses.UpdateAll(p.patch())
		})
	},
	"reactivate": func(m *Manage, c *gin.Context) (bulk, error) {
		return bindBulk(m, c, func(struct{}) (licensing.Action, error) {
			return m.Licenses.UpdateAll(licensing.Patch{IsActive: new(true)})
		})
	},
	"convert": func(m *Manage, c *gin.Context) (bulk, error) {
		return bindBulk(m, c, func(p conversion) (licensing.Action, error) {
			return m.Licenses.ConvertAll(c.Request.Context(), p.wanted())
		})
	},
	"change-policy": func(m *Manage, c *gin.Context) (bulk, error) {
		return bindBulk(m, c, func(p policyName) (licensing.Action, error) {
			return m.Licenses.ChangePolicyAll(c.Request.Context(), p.Policy)
		})
	},
	"update": func(m *Manage, c *gin.Context) (bulk, error) {
		return bindBulk(m, c, func(p licenseChange) (licensing.Action, error) {
			return m.Licenses.UpdateAll(p.patch())
		})
	},
}

// deactivation is what is said of licenses that are switched off.
type deactivation struct {
	Reason string `json:"reason"`
}

func (d deactivation) patch() licensing.Patch {
	p := licensing.Patch{IsActive: new(false)}
	if d.Reason != "" {
		p.DeactivationReason = &d.Reason
	}
	return p
}

// changeLicenses changes many licenses.
func (m *Manage) changeLicenses(c *gin.Context) error {
	raw, err := httpx.Body(c)
	if err != nil {
		return err
	}
	var named struct {
		Action string `json:"action"`
	}
	_ = json.Unmarshal(raw, &named) // what is wrong with the body is said when it is bound
	read, ok := bulkActions[named.Action]
	if !ok {
		read = unknownAction
	}
	b, err := read(m, c)
	if err != nil {
		return err
	}
	if b.key, err = bulkKey(c); err != nil {
		return err
	}
	return m.answerBulk(c, b)
}

func unknownAction(_ *Manage, c *gin.Context) (bulk, error) {
	var in bulkRequest[any]
	if err := httpx.Bind(c, &in); err != nil {
		return bulk{}, err
	}
	bad := apierr.Fields{}
	bad.OneOf("action", in.Action, slices.Sorted(maps.Keys(bulkActions))...)
	return bulk{}, bad.Err()
}

// bindBulk reads a bulk change whose params are a P.
func bindBulk[P any](m *Manage, c *gin.Context, action func(P) (licensing.Action, error)) (bulk, error) {
	var in bulkRequest[P]
	if err := httpx.Bind(c, &in); err != nil {
		return bulk{}, err
	}
	bad := apierr.Fields{}
	if (in.LicenseIDs == nil) == (in.Filter == nil) {
		bad.Add("license_ids", "send either license_ids or filter")
	}
	for _, id := range in.LicenseIDs {
		bad.MaxLen("license_ids", id, maxText)
	}
	if in.Filter != nil {
		in.Filter.check(bad)
	}
	if err := bad.Err(); err != nil {
		return bulk{}, err
	}
	do, err := action(in.Params)
	err = ofParams(err)
	b := bulk{name: in.Action, do: do, dryRun: in.DryRun == nil || *in.DryRun}
	b.licenses = func(ctx context.Context) ([]string, error) {
		if in.Filter != nil {
			return m.Licenses.Select(ctx, in.Filter.wanted())
		}
		return distinct(in.LicenseIDs), nil
	}
	return b, err
}

// ofParams has a VALIDATION_ERROR about params name its members as they are in the request.
func ofParams(err error) error {
	var bad *apierr.Error
	if !errors.As(err, &bad) {
		return err
	}
	fields, ok := bad.Details["fields"].(map[string]string)
	if !ok {
		return err
	}
	named := map[string]string{}
	for name, problem := range fields {
		named["params."+strings.TrimPrefix(name, "params.")] = problem
	}
	return apierr.InvalidFields(named)
}

// distinct are the ids in ascending order, each once: changes that lock several licenses do so in one order.
func distinct(ids []string) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		if parsed, ok := uid.Parse(id); ok {
			id = parsed
		}
		all[i] = id
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func newOperation() string { return uuid.NewString() }

// applyPolicy gives the licenses of a policy its terms as they are now.
func (m *Manage) applyPolicy(c *gin.Context) error {
	var in struct {
		DryRun *bool `json:"dry_run"`
	}
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	key, err := bulkKey(c)
	if err != nil {
		return err
	}
	p, err := m.Policies.Store.FindPolicy(c.Request.Context(), code(c))
	if err != nil {
		return err
	}
	do, err := m.Licenses.ChangePolicyAll(c.Request.Context(), p.Code)
	if err != nil {
		return err
	}
	return m.answerBulk(c, bulk{
		name: "apply-policy", key: key, do: do, dryRun: in.DryRun == nil || *in.DryRun,
		licenses: func(ctx context.Context) ([]string, error) { return m.Licenses.SelectOfPolicy(ctx, p.Code) },
	})
}
