package masterkey

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
)

// MissingError says that rows are under master keys that this process does not have. At its start the process ends with
// it (Register.Start, by StartMasterKeys of package app). Later, /readyz tells it (app/health.go), and Guard and
// look-ups of license keys that find nothing (the license service's store/cache.go) fail with ErrMissing. What a lost
// master key sealed stays sealed; docs/license-file.md, Keys, says how the root of license files outlives it.
type MissingError struct {
	Missing []Usage
	// Configured are the names of the keys that it has.
	Configured []string
}

// Error names the keys, what they protect, and what to do.
func (e *MissingError) Error() string {
	missing := make([]string, len(e.Missing))
	for i, u := range e.Missing {
		missing[i] = u.String()
	}
	return fmt.Sprintf("the database holds rows under master key %s, which this process does not have (it has %s): "+
		"set that key as LATCHKEY_MASTER_KEY, or as LATCHKEY_MASTER_KEY_PREVIOUS or LATCHKEY_MASTER_KEY_NEXT while "+
		"keys are being changed",
		strings.Join(missing, " and "), strings.Join(e.Configured, ", "))
}

// ErrMissing is what callers get meanwhile.
var ErrMissing = apierr.ErrUnavailable.WithMessagef(
	"this server lacks a master key that its data needs, so it cannot tell; try again later, and tell the operator").
	WithRetryAfter(5 * time.Second)

// RequireKeys is a *MissingError when usages has rows under keys that are not in the ring.
func (r *Register) RequireKeys(usages []Usage) error {
	return r.missing(slices.DeleteFunc(slices.Clone(usages), func(u Usage) bool {
		return u.Configured || len(u.Counts) == 0
	}))
}

// Check fails with ErrMissing, whose cause is a *MissingError without counts, when a key is registered that is not in
// the ring. It costs one small query.
func (r *Register) Check(ctx context.Context) error {
	_, err := r.check(r.db.Read(ctx))
	return err
}

// check reads the registered names.
func (r *Register) check(query *gorm.DB) ([]string, error) {
	names, err := registered(query)
	if err != nil {
		return nil, db.Error(err)
	}
	var missing []Usage
	for _, name := range without(names, r.Ring.Names()...) {
		missing = append(missing, Usage{Name: name})
	}
	if err := r.missing(missing); err != nil {
		return nil, ErrMissing.WithCause(err)
	}
	return names, nil
}

func (r *Register) missing(missing []Usage) error {
	if len(missing) == 0 {
		return nil
	}
	return &MissingError{Missing: missing, Configured: r.Ring.Names()}
}
