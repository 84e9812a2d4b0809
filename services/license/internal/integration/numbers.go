package integration

import "context"

// NumberStore knows the numbers by which clients whose ids are numbers know what has an id of ours. They never change.
type NumberStore interface {
	// Numbers reads the numbers of what is asked for. Entitlements get theirs when they are first asked for.
	Numbers(ctx context.Context, q NumberQuery) (Numbers, error)
}

// NumberQuery names licenses and the like by ids, products, policies and entitlements by codes. Empty members ask for
// nothing.
type NumberQuery struct {
	License, Device, User, Release string
	Product, Policy                string
	Features                       []string
}

// Numbers are from 1 on, and 0 for what is not known.
type Numbers struct {
	License, Device, User, Release, Product, Policy int64
	// Features are by code.
	Features map[string]int64
}
