package licenseimport

import (
	"cmp"
	"context"
	"slices"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// maxHeld is how many bytes the longest name has that can be right: 255 characters.
const maxHeld = 4 * 255

// byKey is the order of rows by their keys: imports of the same keys at the same time do not wait for each other in a
// circle.
func byKey(rows []Row) []int {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(licensing.NormalizeKey(*rows[a].New.Key), licensing.NormalizeKey(*rows[b].New.Key))
	})
	return order
}

// hold locks what the rows name before the first of them changes anything, and returns the licenses that are here by
// their keys. Nobody changes whose those are while the locks are held.
func (s *Imports) hold(ctx context.Context, rows []Row) (map[string]Known, error) {
	keys := make([]string, len(rows))
	for i := range rows {
		keys[i] = *rows[i].New.Key
	}
	if err := s.Store.HoldKeys(ctx, keys); err != nil {
		return nil, err
	}
	known, err := s.Store.Known(ctx, keys)
	if err != nil {
		return nil, err
	}
	var n Names
	for i := range rows {
		r := &rows[i]
		if found, here := known[licensing.NormalizeKey(*r.New.Key)]; here {
			n.LicenseIDs = append(n.LicenseIDs, found.LicenseID)
		} else {
			note(&n.Products, cmp.Or(r.New.Product, licensing.DefaultProduct))
		}
		note(&n.GroupIDs, r.New.GroupID)
		note(&n.CustomerIDs, r.New.CustomerID)
		for _, u := range r.Users {
			note(&n.Emails, user.Fold(u.Email))
		}
	}
	return known, s.Store.Hold(ctx, n)
}

// note adds a name that can be right; the rows refuse the others.
func note(names *[]string, name string) {
	if name != "" && len(name) <= maxHeld {
		*names = append(*names, name)
	}
}
