//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/latchkey-dev/latchkey/test/suite"
)

// Goals, shares of what a build reaches whose licenses had no more terms than plain ones (1e1bc45).
const (
	againstFloor, againstAim = 0.97, 1.0
	againstMemoryFloor       = 1.0
)

// compareBuilds measures this checkout and the one at --against, in turns: warm validations and memory of a license
// process, and activations on the embedded default.
func (b *bench) compareBuilds(ctx context.Context) error {
	if b.against == "" {
		return nil
	}
	if err := b.compareProcesses(ctx); err != nil {
		return err
	}
	return b.withEmbedded(ctx, filepath.Dir(b.bin), func(ctx context.Context, now *installation) error {
		return b.withEmbedded(ctx, b.against, func(ctx context.Context, before *installation) error {
			return b.compareActivations(ctx, now, before)
		})
	})
}

// compareProcesses has a license process of each checkout, on a database of its own, keep warmMany licenses.
func (b *bench) compareProcesses(ctx context.Context) error {
	bin, err := suite.Build(ctx, suite.Options{Root: b.against})
	if err != nil {
		return err
	}
	if err := b.suite.Process("analytics").Stop(); err != nil {
		return err
	}
	wrong := b.atMost(row{Name: "warm validate of both builds, wrong answers", Floor: new(0.0)})
	answers := tally{wrong, b.info("warm validate of both builds, answers not from memory", "")}
	old, err := b.keepMany(ctx, "of --against", bin, nil)
	if err != nil {
		return err
	}
	defer old.Kill()
	now, err := b.keepMany(ctx, "of this build", b.bin, b.ratio("warm validate of --against", againstFloor, againstAim))
	if err != nil {
		return err
	}
	defer now.Kill()
	b.atMost(row{
		Name: "license, memory of 100,000 warm licenses of --against", Floor: new(againstMemoryFloor),
	}).add(now.ofLicenses() / old.ofLicenses())
	b.info("  license, whole process, of --against", "").add(now.memory.median() / old.memory.median())
	for _, k := range []build{old, now} { // what was kept first is too old by now
		if err := warm(ctx, k.replica.url, b.suite.APIKey, licenses); err != nil {
			return err
		}
	}
	err = b.compare(ctx, answers, old.contender, now.contender)
	return errors.Join(err, b.suite.Process("analytics").Restart(ctx))
}

// build is a license process of a checkout.
type build struct {
	replica
	*contender
	idle, memory *row
}

// ofLicenses is the memory in MB that the licenses have made the process grow by.
func (k build) ofLicenses() float64 { return k.memory.median() - k.idle.median() }

// keepMany starts the license process that is in bin, with a database of its own, and has it keep warmMany licenses.
func (b *bench) keepMany(ctx context.Context, name, bin string, ratio *row) (k build, err error) {
	database, err := b.newDatabase(ctx, bin, "license "+name)
	if err == nil {
		err = fill(ctx, database, b.setting("MASTER_KEY"), warmMany)
	}
	if err == nil {
		err = b.watch(ctx, database)
	}
	if err != nil {
		return k, err
	}
	serve := b.licenseOf(bin, "serve", database, b.suite.Process("auth").InternalURL)
	k.replica, err = b.serveLicense(ctx, "license "+name, serve)
	if err != nil {
		return k, err
	}
	k.contender = b.contender("warm validate "+name, validation(k.replica.url, b.suite.APIKey), ratio,
		map[string]int{"server": k.PID(), "load generator": os.Getpid()})
	k.idle = b.info("  license, memory with none, "+name, "MB")
	k.idle.add(residentMB(k.PID()))
	k.memory = b.info("  license, memory with 100,000 warm licenses, "+name, "MB")
	err = errors.Join(warm(ctx, k.replica.url, b.suite.APIKey, warmMany), b.settle(ctx), awaitReturnedMemory(ctx))
	k.memory.add(residentMB(k.PID()))
	return k, err
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
