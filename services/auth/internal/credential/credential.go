// Package credential holds the rules of everything that lets somebody in: API keys, chains of access and refresh
// tokens, and the keys that sign them. It knows no HTTP and no database; it is given a clock, its stores, and a way
// to ask about devices.
package credential

import (
	"context"

	"golang.org/x/sync/singleflight"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/refusal"
	rpcv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/rpc/v1"
)

// Record is an event that must be committed together with a change.
type Record struct {
	Subject string
	Message proto.Message
}

// Deps is what the rules are given.
type Deps struct {
	Clock    clock.Clock
	Keys     KeyStore
	Families FamilyStore
	Signing  SigningStore
	Devices  Devices
	// Refusals notes refused tokens.
	Refusals *refusal.Recorder
	// Link tells whether the events of other processes arrive at OnEvent. Nil counts as yes.
	Link interface{ Alive() bool }
	// AdmitRefresh counts a call of refresh against the limit of its family, or fails.
	AdmitRefresh func(ctx context.Context, familyID string) error
}

// Service carries out the rules. It is safe for concurrent use.
type Service struct {
	Deps
	ring *signingRing
	// refreshes are those under way, by the token they came with.
	refreshes singleflight.Group
}

// New makes the service.
func New(d Deps) *Service {
	return &Service{Deps: d, ring: newSigningRing(d)}
}

// Actor is who makes a change, for the audit log.
type Actor = rpcv1.Actor
