//go:build unix

package main

import (
	"context"
	"errors"
	"path/filepath"
)

// compareBuilds measures activations on the embedded default of this checkout and of the one at --against, in turns.
func (b *bench) compareBuilds(ctx context.Context) error {
	if b.against == "" {
		return nil
	}
	return b.withEmbedded(ctx, filepath.Dir(b.bin), func(ctx context.Context, now *installation) error {
		return b.withEmbedded(ctx, b.against, func(ctx context.Context, before *installation) error {
			return b.compareActivations(ctx, now, before)
		})
	})
}

func (b *bench) withEmbedded(
	ctx context.Context, root string, measure func(ctx context.Context, s *installation) error,
) error {
	e, err := startEmbedded(ctx, root, licenses, b.progress)
	if err != nil {
		return err
	}
	return errors.Join(b.onEmbedded(ctx, e, measure), e.Stop())
}

func (b *bench) compareActivations(ctx context.Context, now, before *installation) error {
	ratio := b.info("embedded, activations, times those of --against", "")
	rate, old := b.info("  embedded, activations", "/s"), b.info("  embedded, activations of --against", "/s")
	cpu, oldCPU := b.info("  CPU per 10,000", "s"), b.info("  CPU per 10,000 of --against", "s")
	for range b.rounds {
		perSecond, err := b.activateOnce(ctx, now, cpu)
		if err != nil {
			return err
		}
		perSecondBefore, err := b.activateOnce(ctx, before, oldCPU)
		if err != nil {
			return err
		}
		rate.add(perSecond)
		old.add(perSecondBefore)
		ratio.add(perSecond / perSecondBefore)
	}
	return nil
}

// activateOnce activates devices until the time of a round is over and everything is stored, and returns how many a
// second.
func (b *bench) activateOnce(ctx context.Context, s *installation, cpu *row) (perSecond float64, err error) {
	used := s.cpuSeconds()
	o, err := drive(ctx, activation(s.url, s.apiKey), b.span, b.freshDevices(licenses))
	if err == nil {
		err = s.stored(ctx)
	}
	cpu.add((s.cpuSeconds() - used) / float64(max(o.requests, 1)) * 10_000)
	return o.perSecond(), err
}
