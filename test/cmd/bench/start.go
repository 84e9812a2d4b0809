//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/services/standalone/client"
	"github.com/latchkey-dev/latchkey/test/suite"
)

// Aims of the issue for each binary.
const (
	startAim  = 100.0 // ms from exec to the first 200 of /readyz
	memoryAim = 40.0  // MB resident when idle
)

// idleFor is how long a process has been left alone when its memory is read.
const idleFor = 2 * time.Second

// start measures how long each binary takes to be ready, with its servers up and migrated, and what it then holds.
func (b *bench) start(ctx context.Context) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	if err := b.startAll(ctx, b.suite.Processes); err != nil {
		return err
	}
	embedded, err := suite.Start(ctx, suite.Options{Root: filepath.Dir(b.bin), Embedded: true, Progress: b.progress})
	if err != nil {
		return err
	}
	return errors.Join(b.startAll(ctx, embedded.Processes), embedded.Stop())
}

func (b *bench) startAll(ctx context.Context, processes []*suite.Process) error {
	for _, p := range processes {
		ready := b.atMost(row{Name: "start of " + p.Name, Unit: "ms", Aim: new(startAim)})
		memory := b.atMost(row{Name: "memory of " + p.Name + ", idle", Unit: "MB", Aim: new(memoryAim)})
		for range b.rounds {
			took, err := startTime(ctx, p)
			if err != nil {
				return err
			}
			ready.add(float64(took.Microseconds()) / 1000)
		}
		if err := clock.Sleep(ctx, idleFor); err != nil {
			return err
		}
		memory.add(residentMB(p.PID()))
	}
	return nil
}

// startTime starts a process anew and returns how long it took until all its addresses were ready.
func startTime(ctx context.Context, p *suite.Process) (time.Duration, error) {
	if err := p.Stop(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	begin := time.Now()
	if err := p.Start(); err != nil {
		return 0, err
	}
	for _, url := range p.URLs {
		for {
			err := client.Ready(ctx, nil, url)
			if err == nil {
				break
			}
			if clock.Sleep(ctx, time.Millisecond) != nil {
				return 0, fmt.Errorf("%s is not ready: %w", p.Name, err)
			}
		}
	}
	return time.Since(begin), nil
}
