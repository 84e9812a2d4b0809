package integration

// NumberQuery names licenses and similar objects by ids, products, policies and entitlements by codes. Empty members
// ask for nothing.
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
