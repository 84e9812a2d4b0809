//go:build unix

package suite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/testkit/link"
	"github.com/latchkey-dev/latchkey/services/standalone/client"
	"github.com/latchkey-dev/latchkey/test/servers"
)

// Process is one process of the suite. It keeps its addresses and its data over Kill9 and Restart.
type Process struct {
	// Name is the service, for further replicas with their number: "license-2".
	Name string
	// URLs are the public addresses by service; a process of the embedded suite has all four.
	URLs map[string]string
	// InternalURL is where peer services ask; empty in the embedded suite.
	InternalURL string

	clocks  bool // see Options.Clocks
	group   *servers.Group
	argv    []string
	environ []string
	running *servers.Process
	// front is the load balancer of the service's internal port; nil in the embedded suite.
	front    *link.Link
	starting atomic.Bool
}

// PID of the process.
func (p *Process) PID() int { return p.running.PID() }

// Log is the file with the output of the process.
func (p *Process) Log() string { return p.running.Log }

// Set changes settings, each NAME=value, from the next start on. One without a value is taken out.
func (p *Process) Set(settings ...string) {
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		p.environ = slices.DeleteFunc(p.environ, func(s string) bool { return strings.HasPrefix(s, name+"=") })
		if value != "" {
			p.environ = append(p.environ, setting)
		}
	}
}

// Use takes the program from another folder, from the next start on.
func (p *Process) Use(bin string) { p.argv[0] = filepath.Join(bin, filepath.Base(p.argv[0])) }

// Kill9 ends the process as kill -9 does.
func (p *Process) Kill9() { p.running.Kill() }

// Stop asks the process to end, as Ctrl-C does. It fails when the process does not within its drain time.
func (p *Process) Stop() error {
	if p.running == nil {
		return nil
	}
	select {
	case <-p.running.Done():
		return nil // killed before
	default:
	}
	if !p.running.Stop(syscall.SIGTERM, 30*time.Second) {
		log, _ := os.ReadFile(p.Log()) // without it there is less to tell
		return fmt.Errorf("%s did not drain, or ended with an error; the end of its log:\n%s",
			p.Name, log[max(0, len(log)-3000):])
	}
	return nil
}

// Restart ends the process if it still runs, starts it again and waits until it is ready.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Stop(); err != nil {
		return err
	}
	if err := p.Start(); err != nil {
		return err
	}
	return p.Await(ctx)
}

// Start starts the process without waiting for it. Until Await says that it is ready, peers and URLs of the suite leave
// it out, as a cluster does.
func (p *Process) Start() (err error) {
	p.leaveOut(true)
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir = p.group.Dir
	cmd.Env = append(hostEnviron(), p.environ...)
	if p.clocks {
		cmd.Env = append(cmd.Env, clockVariable+"="+p.clockFile())
	}
	p.running, err = p.group.Start(p.Name, cmd)
	return err
}

// Await waits until every address of the process says that it is ready.
func (p *Process) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := p.running.Await(ctx, func(ctx context.Context) error {
		for _, url := range p.URLs {
			if err := client.Ready(ctx, nil, url); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		p.leaveOut(false)
	}
	return err
}

func (p *Process) leaveOut(out bool) {
	p.starting.Store(out)
	if p.front != nil {
		p.front.Last(strings.TrimPrefix(p.InternalURL, "http://"), out)
	}
}
