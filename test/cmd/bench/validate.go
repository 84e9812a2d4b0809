//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
)

// Goals of the issue: the share of the bare handler's rate that a warm validate reaches with everything on.
const (
	validateFloor = 0.60
	validateAim   = 0.75
)

// contender is a target in a set of rounds, and where its figures go.
type contender struct {
	target
	next    func(conn, i int) (call, bool)
	ratio   *row // of the baseline's rate in the same round; nil for the baseline
	rate    *row
	p50     *row
	p99     *row
	cpu     meters
	outcome outcome
}

func (b *bench) contender(name string, t target, ratio *row, pids map[string]int) *contender {
	return &contender{
		target: t, next: anyOf(licenses), ratio: ratio,
		rate: b.info("  "+name, "/s"), p50: b.info("  "+name+", p50", "us"), p99: b.info("  "+name+", p99", "us"),
		cpu: b.meters(name, pids),
	}
}

// validate measures warm validations against a bare handler, first without and then with analytics at work beside them.
func (b *bench) validate(ctx context.Context) error {
	bare, err := b.startBaseline(ctx)
	if err != nil {
		return err
	}
	defer bare.Kill()
	limited, err := b.newKey(ctx, 1_000_000_000, 0)
	if err != nil {
		return err
	}
	analytics, url := b.suite.Process("analytics"), b.suite.LicenseURL
	if err := analytics.Stop(); err != nil {
		return err
	}
	if err := warm(ctx, url, b.suite.APIKey, licenses); err != nil {
		return err
	}
	if err := b.sameAnswer(ctx); err != nil {
		return err
	}
	own := map[string]int{"server": bare.PID(), "load generator": os.Getpid()}
	all := b.processes()
	answers := tally{b.atMost(row{Name: "warm validate, wrong answers", Floor: new(0.0)}),
		b.info("warm validate, answers not from memory", "")}
	first := b.ratio("warm validate of a bare handler, unlimited key", validateFloor, validateAim)
	second := b.ratio("warm validate of a bare handler, limited key", validateFloor, validateAim)
	err = b.compare(ctx, answers,
		b.contender("bare handler", b.bareTarget(), nil, own),
		b.contender("unlimited key", validation(url, b.suite.APIKey), first, all),
		b.contender("limited key", validation(url, limited), second, all))
	if err != nil {
		return err
	}
	for _, more := range []func(context.Context, tally) error{b.traces, b.terms} {
		if err := more(ctx, answers); err != nil {
			return err
		}
	}
	if err := analytics.Restart(ctx); err != nil {
		return err
	}
	all["analytics"] = analytics.PID()
	beside := b.ratio("warm validate of a bare handler, analytics consuming", validateFloor, validateAim)
	return b.compare(ctx, answers,
		b.contender("bare handler again", b.bareTarget(), nil, own),
		b.contender("analytics consuming", validation(url, b.suite.APIKey), beside, all))
}

func (b *bench) bareTarget() target {
	return target{
		url:    b.bare,
		path:   validatePath,
		apiKey: b.suite.APIKey,
		status: "200",
		marks:  []string{`"valid":true`},
		memory: fromMemory,
	}
}

// sameAnswer makes sure that the baseline does the same work.
func (b *bench) sameAnswer(ctx context.Context) error {
	want, err := post(ctx, validation(b.suite.LicenseURL, b.suite.APIKey), call{1, 1})
	if err != nil {
		return err
	}
	got, err := post(ctx, b.bareTarget(), call{1, 1})
	if err == nil && got != want {
		err = fmt.Errorf("the baseline answers %s, validate %s", got, want)
	}
	return err
}

// tally sums up what was wrong with answers over all rounds.
type tally struct{ wrong, misses *row }

// compare puts the contenders under load in turns; the first one is what the others are compared with.
func (b *bench) compare(ctx context.Context, answers tally, contenders ...*contender) error {
	for round := range b.rounds {
		for i := range contenders {
			// Whoever is last in one round is first in another: none always profits from what ran before it.
			c := contenders[(i+round)%len(contenders)]
			if err := b.measure(ctx, c); err != nil {
				return err
			}
			answers.wrong.count(c.outcome.wrong)
			answers.misses.count(c.outcome.misses)
			if c.outcome.first != nil {
				b.say("%s%s: %v", c.url, c.path, c.outcome.first)
			}
		}
		for _, c := range contenders {
			c.record(contenders[0])
		}
		b.say("round %d: %.0f/s bare, %.0f/s validate",
			round+1, contenders[0].outcome.perSecond(), contenders[1].outcome.perSecond())
	}
	return nil
}

func (b *bench) measure(ctx context.Context, c *contender) (err error) {
	if err := b.settle(ctx); err != nil {
		return err
	}
	c.cpu.begin()
	c.outcome, err = drive(ctx, c.target, b.span, c.next)
	c.cpu.end(c.outcome.requests)
	return err
}

func (c *contender) record(baseline *contender) {
	c.rate.add(c.outcome.perSecond())
	c.p50.add(c.outcome.percentile(0.50))
	c.p99.add(c.outcome.percentile(0.99))
	if c.ratio != nil {
		c.ratio.add(c.outcome.perSecond() / baseline.outcome.perSecond())
	}
}
