package adminkey

// Role is what an admin key may do. Each role may do everything the one below it may. Which role each route needs
// is in internal/api/routes.go.
type Role string

// The roles, weakest first.
const (
	// Viewer reads.
	Viewer Role = "viewer"
	// Operator also changes licenses.
	Operator Role = "operator"
	// Owner also manages admin keys and API keys.
	Owner Role = "owner"
)

// rank orders the roles; an unknown role ranks 0 and may do nothing.
func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Owner:
		return 3
	}
	return 0
}

// Known tells whether r is one of the roles.
func (r Role) Known() bool { return r.rank() > 0 }

// Covers tells whether a key of role r may do what need is asked for.
func (r Role) Covers(need Role) bool { return r.Known() && r.rank() >= need.rank() }
