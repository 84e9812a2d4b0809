//go:build unix

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// lab runs mutants and keeps the results. Its folders are absolute: the go command wants that of an overlay.
type lab struct {
	root, dir string
	rows      []string
}

// control runs everything that mutants name on the code as it is. Only a test that passes here proves anything when it
// fails.
func (l *lab) control(ctx context.Context, mutants []mutant) error {
	tests := map[string][]string{}
	for _, m := range mutants {
		tests[m.pkg] = append(tests[m.pkg], strings.Fields(m.tests)...)
	}
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		slices.Sort(tests[pkg])
		if err := l.controlPackage(ctx, pkg, slices.Compact(tests[pkg])); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) controlPackage(ctx context.Context, pkg string, tests []string) error {
	fmt.Printf("     %s %s\n", pkg, strings.Join(tests, " "))
	o, err := goTest(ctx, l.root, pkg, tests)
	if err != nil {
		return err
	}
	if !o.ok {
		return fmt.Errorf("%s fails without any defect:\n%s", pkg, o.output)
	}
	for _, name := range tests {
		if !slices.Contains(o.passed, name) {
			return fmt.Errorf("%s has no test %s that passes; the table of mutants is stale", pkg, name)
		}
	}
	return nil
}

// try runs a mutant's tests on it. It fails when none of them noticed, and when the run proves nothing.
func (l *lab) try(ctx context.Context, m *mutant) error {
	overlay, err := m.overlay(l.root, l.dir)
	if err != nil {
		l.add(m, "STALE", outcome{})
		return err
	}
	o, err := goTest(ctx, l.root, m.pkg, strings.Fields(m.tests), "-overlay="+overlay)
	by := strings.Join(o.caughtBy(), " ")
	switch {
	case err != nil:
		l.add(m, "NOT RUN", o)
		return err
	case o.unbuilt:
		l.add(m, "DOES NOT COMPILE", o)
		return fmt.Errorf("%s does not compile:\n%s", m.name, o.output)
	case by == "":
		l.add(m, "SURVIVED", o)
		return fmt.Errorf("%s survived: %s in %s noticed nothing\n%s", m.name, m.tests, m.pkg, o.output)
	}
	l.add(m, by, o)
	fmt.Printf("     %.1f s, %s: %.200s\n", o.stopwatch.Seconds(), by, o.complaint)
	return nil
}

func (l *lab) add(m *mutant, result string, o outcome) {
	l.rows = append(l.rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%.1f", m.name, m.dir, m.breaks, result, o.stopwatch.Seconds()))
}

func (l *lab) table() string {
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "MUTANT\tPACKAGE\tWHAT IT BREAKS\tCAUGHT BY\tSECONDS")
	for _, row := range l.rows {
		fmt.Fprintln(out, row)
	}
	_ = out.Flush()
	return text.String()
}
