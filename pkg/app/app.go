// Package app is the program around a service: its settings, its commands, and the way it starts, drains and ends. The
// main function of a service calls Main and nothing else.
package app

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/pkg/bus"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/guard"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/obs"
	"github.com/latchkey-dev/latchkey/pkg/trace"
)

// Service is a program to be: one service with its settings and commands.
type Service struct {
	// Name is the service's, the program's and the database schema's.
	Name string
	// Short says in a line what the service does, for --help.
	Short string
	// Config is a pointer to the service's settings, a struct that embeds Base. Values in it before Main are defaults.
	// It is filled when a command runs.
	Config     any
	Migrations []db.Migrations
	// Queues are all durable queues of the suite.
	Queues []bus.Queue
	New    func(deps Deps) (Running, error)
	// MasterKeys makes the register of a service that keeps rows under master keys; nil for others. Of Deps it needs DB
	// and Clock.
	MasterKeys func(deps Deps) (*masterkey.Register, error)
	// Peers are the services that this one asks with the settings of Config; nil for none.
	Peers func() []string
	// DiagnoseData looks at what the service keeps, for doctor; nil where there is nothing to tell.
	DiagnoseData func(ctx context.Context, d *Diagnosis, data *db.DB)
	// Commands stand beside serve, migrate and the others; they reach the database and the bus through WithDeps, or
	// WithDatabase.
	Commands []*cobra.Command
}

// Deps are the dependencies that a service is given.
type Deps struct {
	Log *slog.Logger
	DB  *db.DB
	Bus bus.Bus
	// HTTP leads to the peer services; nil is the network.
	HTTP    http.RoundTripper
	Clock   clock.Clock
	Metrics *obs.Metrics
	// Traces is nil where traces are off.
	Traces *trace.Recorder
	// Answered counts the requests that the services of this process have answered; nil where nobody wants to know.
	Answered *atomic.Uint64
	// AdminKeyAttempts bounds the refused admin keys that a client address may send to the services of this process
	// together; nil has each bound its own.
	AdminKeyAttempts *guard.Attempts
}

// Worker is work in the background.
type Worker interface {
	// Run does the background work until ctx ends and then finishes what it holds; it ends after the last request has
	// been answered.
	Run(ctx context.Context) error
	// Drain turns readiness off.
	Drain()
}

// Running is a service that has been made.
type Running interface {
	Worker
	Handler() http.Handler
	InternalHandler() http.Handler
}
