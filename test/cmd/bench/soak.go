//go:build unix

package main

import (
	"context"
	"errors"
	"time"
)

// levelFloor is the most that the memory after all of a soak may be of that after two thirds of it.
const levelFloor = 1.1

// soakTime is how long each third of the soak lasts, several hundred thousand calls.
const soakTime = 20 * time.Second

// soak shows whether the memory of the processes levels off under load: what they take after each third of it.
func (b *bench) soak(ctx context.Context) error {
	return b.onProcesses(ctx, func(ctx context.Context, s *installation) error {
		names := []string{"license", "analytics"}
		before, last := map[string]float64{}, map[string]float64{} // MB by name
		for _, third := range []string{"a third", "two thirds", "all"} {
			if err := b.soakOnce(ctx, s); err != nil {
				return err
			}
			for _, name := range names {
				before[name], last[name] = last[name], residentMB(b.suite.Process(name).PID())
				b.info(name+", memory after "+third+" of a soak", "MB").add(last[name])
			}
		}
		for _, name := range names {
			b.atMost(row{Name: name + ", memory after all of a soak, of two thirds", Floor: new(levelFloor)}).
				add(last[name] / before[name])
		}
		if err := awaitReturnedMemory(ctx); err != nil {
			return err
		}
		for _, name := range names {
			b.info(name+", memory once quiet", "MB").add(residentMB(b.suite.Process(name).PID()))
		}
		return nil
	})
}

// soakOnce validates, and activates a device now and then, until soakTime is over and everything is stored.
func (b *bench) soakOnce(ctx context.Context, s *installation) error {
	span := soakTime
	if b.quick {
		span /= 4
	}
	calls, err := drive(ctx, validation(s.url, s.apiKey), span*9/10, anyOf(licenses))
	if err = errors.Join(err, calls.first); err != nil {
		return err
	}
	calls, err = drive(ctx, activation(s.url, s.apiKey), span/10, b.freshDevices(licenses))
	return errors.Join(err, calls.first, s.stored(ctx))
}
