//go:build unix

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// notCovered marks the reason of a test that was skipped for lack of a server.
const notCovered = "NOT COVERED"

// tally reads what go test -json prints, shows it as go test alone would, and counts. Only this way are the reasons of
// skipped tests seen: go test keeps them to itself unless it is verbose.
type tally struct {
	verbose bool
	out     io.Writer

	passed, failed, skipped int
	uncovered               map[string]int       // tests by reason
	took                    map[string]testEvent // the longest of a test and its parts, by the key of the test
	pending                 map[string]*strings.Builder
}

// testEvent is one line of go test -json (go doc test2json, go help buildjson).
type testEvent struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

func (t *tally) read(events io.Reader) error {
	t.uncovered = map[string]int{}
	t.pending = map[string]*strings.Builder{}
	t.took = map[string]testEvent{}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		var e testEvent
		switch {
		case line == "":
		case json.Unmarshal([]byte(line), &e) != nil:
			fmt.Fprint(t.out, line)
		default:
			t.add(e)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) add(e testEvent) {
	switch {
	case e.Action == "build-output":
		fmt.Fprint(t.out, e.Output)
	case e.Action == "output":
		t.output(e)
	case e.Test != "":
		t.finish(e)
	case e.Action == "fail":
		t.flushPackage(e.Package)
	}
}

func (t *tally) output(e testEvent) {
	dull := e.Output == "PASS\n" || strings.HasSuffix(e.Output, "[no test files]\n")
	if t.verbose || strings.HasPrefix(e.Test, "Benchmark") || e.Test == "" && !dull {
		fmt.Fprint(t.out, e.Output)
	}
	if e.Test == "" {
		return
	}
	if t.pending[e.key()] == nil {
		t.pending[e.key()] = &strings.Builder{}
	}
	t.pending[e.key()].WriteString(e.Output)
}

func (e testEvent) key() string { return e.Package + " " + e.Test }

// finish counts a test that has ended, and shows the output of a failed one.
func (t *tally) finish(e testEvent) {
	said := ""
	if b := t.pending[e.key()]; b != nil {
		said = b.String()
	}
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
		if !t.verbose {
			fmt.Fprint(t.out, said)
		}
	case "skip":
		t.skipped++
		if _, reason, ok := strings.Cut(said, notCovered); ok {
			reason, _, _ = strings.Cut(reason, "\n")
			t.uncovered[strings.Trim(reason, ": ")]++
		}
	default:
		return
	}
	delete(t.pending, e.key())
	// The time of a test has that of its parts in it, but not of those that ran at once.
	e.Test, _, _ = strings.Cut(e.Test, "/")
	if e.Elapsed >= t.took[e.key()].Elapsed {
		t.took[e.key()] = e
	}
}

// slowest are up to n tests that took the most time, a line each. Tests of two packages share the processors.
func (t *tally) slowest(n int) (lines []string) {
	longest := func(a, b testEvent) int { return cmp.Compare(b.Elapsed, a.Elapsed) }
	took := slices.SortedFunc(maps.Values(t.took), longest)
	for _, e := range took[:min(n, len(took))] {
		lines = append(lines, fmt.Sprintf("%6.1f s  %s  %s", e.Elapsed, path.Base(e.Package), e.Test))
	}
	return lines
}

// flushPackage shows what the tests of a failed package said that never ended: it ran into its deadline or crashed.
func (t *tally) flushPackage(pkg string) {
	for _, key := range slices.Sorted(maps.Keys(t.pending)) {
		if strings.HasPrefix(key, pkg+" ") {
			if !t.verbose {
				fmt.Fprint(t.out, t.pending[key])
			}
			delete(t.pending, key)
		}
	}
}

func (t *tally) gaps() (gaps []string) {
	for _, reason := range slices.Sorted(maps.Keys(t.uncovered)) {
		gaps = append(gaps, fmt.Sprintf("%d tests: %s", t.uncovered[reason], reason))
	}
	return gaps
}

// String is the count in words.
func (t *tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}
