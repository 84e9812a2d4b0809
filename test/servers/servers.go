//go:build unix

// Package servers starts private PostgreSQL and RabbitMQ servers for tests and measurements: from the installed
// programs, on free ports of 127.0.0.1, with their data in a directory of their own. Which versions: the installed
// ones, or those of the images in container.go where an engine runs containers. It ends exactly what it started, also
// when the process that started it is killed. Kill and Restart exist for tests of faults.
package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrNotInstalled means that the programs of a server were not found on this computer.
var ErrNotInstalled = errors.New("not installed")

// Options say how a private PostgreSQL server runs.
type Options struct {
	// Durable keeps fsync on, as in production. Tests do without: what they kill are processes, not the computer.
	Durable bool
}

// startTimeout bounds a start including the wait for the first answer. A RabbitMQ node takes six seconds on an idle
// computer, on a busy one minutes.
const startTimeout = 10 * time.Minute

// attempts to start a server on new ports, when another process was quicker to take one.
const attempts = 3

// ErrPortTaken means that another process was quicker to take a port; try again on new ones.
var ErrPortTaken = errors.New("port taken by another process")

// retrying runs start until it succeeds or fails for another reason than a taken port.
func retrying[T any](ctx context.Context, start func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		server, err := start(ctx)
		if err == nil || attempt == attempts || !errors.Is(err, ErrPortTaken) {
			return server, err
		}
	}
}

// errEnded means that what await waited for is gone.
var errEnded = errors.New("ended by itself")

// await asks ready until it answers nil. It gives up when ctx ends or the channel ended is closed.
func await(ctx context.Context, ended <-chan struct{}, ready func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := ready(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		case <-tick.C:
		}
	}
}

// tail is the end of a log file, for an error message.
func tail(file string) string {
	const keep = 2000
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	if len(raw) > keep {
		raw = raw[len(raw)-keep:]
	}
	return strings.TrimSpace(string(raw))
}

// firstProgram returns the first of the candidates that exists; a candidate may be a glob pattern.
func firstProgram(candidates ...string) (string, bool) {
	for _, pattern := range candidates {
		found, err := filepath.Glob(pattern)
		if err == nil && len(found) > 0 {
			return found[len(found)-1], true // versions sort upwards
		}
	}
	return "", false
}
