package adminkey

import "slices"

// Role is what an admin key may do. Each role may do everything the one below it may. Which role each route needs is in
// internal/api/routes.go. What else another role touches: ranks, the CHECK of the table admin_keys (by a migration),
// Role in proto/openapi/admin.yaml, and where it is above Owner ownerRole of the Spectra dialect of license;
// CONTRIBUTING.md has the recipe.
type Role string

// The roles, weakest first.
const (
	// Viewer reads.
	Viewer Role = "viewer"
	// Operator also changes licenses.
	Operator Role = "operator"
	// Owner also manages admin keys, API keys and the credentials of dialects, rotates signing keys, and erases
	// customers.
	Owner Role = "owner"
)

// ranks orders the roles, the weakest first.
var ranks = []string{string(Viewer), string(Operator), string(Owner)}

// rank is 0 for an unknown role, which may do nothing.
func (r Role) rank() int { return slices.Index(ranks, string(r)) + 1 }

// Covers reports whether a key of role r may do what need is asked for.
func (r Role) Covers(need Role) bool { return r.rank() > 0 && r.rank() >= need.rank() }
